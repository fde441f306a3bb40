"""The graph neural network and its ensemble: the predictor `gnn`."""
