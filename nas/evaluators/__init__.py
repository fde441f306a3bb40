"""Evaluators score architectures, by a table of published results or by training.

Import the modules where they are needed, because `nas.evaluators.train` imports torch.
"""
