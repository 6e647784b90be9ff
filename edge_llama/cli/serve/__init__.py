"""`edge-llama serve` and the keys for it."""
