"""The command `nas`: what a person types, and what they see."""
