"""The command `nas`: its options, what it prints, and how it reports errors."""
