"""The graph network, and the ensemble of them."""
