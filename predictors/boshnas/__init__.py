"""BOSHNAS' surrogate: three networks for the mean and both uncertainties, and ascent to better
inputs.
"""
