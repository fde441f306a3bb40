"""Graphs as numbers: the arrays that a learner sees."""
