"""From a running request to a response: what all dialects share."""
