"""Whether the server is well, and what it does."""
