"""What the user asked for, checked, and the parts of a run made of it."""
