"""Bytes and text: UTF-8 and stop strings."""
