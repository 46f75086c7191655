"""World models predict: the simulator itself, or what is learned of it."""
