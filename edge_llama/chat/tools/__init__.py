"""What a model may call, and how its calls are read."""
