"""The folders in which other programs keep GGUFs."""
