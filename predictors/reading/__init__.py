"""Graphs as numbers: the arrays that learners are trained on."""
