"""From a server into the store."""
