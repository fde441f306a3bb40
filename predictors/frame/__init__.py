"""The frame of every built-in predictor: from graphs and scores to a learner and back to score
units.
"""
