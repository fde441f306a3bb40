"""Edit distances between graphs, and an embedding that approximates them."""
