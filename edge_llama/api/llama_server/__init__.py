"""llama-server's own API, beside OpenAI's."""
