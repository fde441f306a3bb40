"""Training of one network on one task: the recipe, the epochs, the scores and the checkpoints."""
