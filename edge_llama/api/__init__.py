"""HTTP: OpenAI's JSON and that of others."""
