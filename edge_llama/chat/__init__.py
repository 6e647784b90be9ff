"""Messages and their meaning; no HTTP."""
