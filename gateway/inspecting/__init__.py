"""What passed through the exchange? Every message in and out of a simulation's call, for the console's inspector."""
