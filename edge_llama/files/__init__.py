"""Files on disk: read without waiting, written whole, in folders of the user's own."""
