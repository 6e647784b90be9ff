"""Tokens of texts, and what is known of a tokenizer."""
