"""The loop of a run: what happens next, when it stops, what is ahead, who is trained fully."""
