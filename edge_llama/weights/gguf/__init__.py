"""GGUF files, read and checked without loading them."""
