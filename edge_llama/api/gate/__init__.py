"""Who may come in: hosts, keys, and how many at once."""
