"""Which token is next, and which may be."""
