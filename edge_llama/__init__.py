"""Llama 3.1 on a machine without a GPU."""

__version__ = "0.1.0"
