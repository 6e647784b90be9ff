"""Keys and values in memory: the books of the cells, and the prefixes that are kept."""
