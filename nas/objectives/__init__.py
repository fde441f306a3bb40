"""Objectives, constraints, Pareto fronts, and the numbers of a graph that they are about."""
