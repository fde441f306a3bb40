"""Learners without a network: Gaussian process, trees, ridge; and the stack that weighs learners."""
