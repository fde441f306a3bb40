"""What a run remembers: its journal, the history folded from it, and where it was made."""
