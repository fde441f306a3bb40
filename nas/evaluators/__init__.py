"""Evaluators: from an architecture to a score, by a table or by training. Each is imported where it
is used, for one needs torch.
"""
