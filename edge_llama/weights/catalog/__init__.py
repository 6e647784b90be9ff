"""The models that are known, and how files of weights are named."""
