"""What a model takes in memory, and whether it fits."""
