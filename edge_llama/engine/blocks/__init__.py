"""The part of the prefix cache that is on disk: KV of up to 256 tokens a file."""
