"""Edit distances between graphs, and an embedding that keeps them."""
