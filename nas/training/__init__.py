"""Training of one network on one task."""
