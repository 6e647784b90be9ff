"""`edge-llama keys`: API keys for the users of a server, their limits and their usage."""
