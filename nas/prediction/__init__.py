"""A predictor without a search: fitted to labels, kept, judged and asked."""
