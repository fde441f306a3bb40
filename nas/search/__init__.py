"""The loop of a run: what happens next, when it stops, what is ahead, and which architectures are
trained fully.
"""
