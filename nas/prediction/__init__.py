"""A predictor without a search: fitted to labels, saved, evaluated, and used to predict."""
