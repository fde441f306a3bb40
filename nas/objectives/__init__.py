"""What is better, and what must be kept: objectives, constraints and fronts."""
