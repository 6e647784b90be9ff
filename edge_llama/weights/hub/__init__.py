"""Repositories and files on huggingface.co and other servers."""
