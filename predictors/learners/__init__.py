"""Learners without a network (Gaussian process, trees, ridge), and stacks of learners."""
