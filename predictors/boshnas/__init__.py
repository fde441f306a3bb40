"""BOSHNAS' surrogate (the predictor `boshnas`), and gradient ascent on a surrogate's inputs."""
