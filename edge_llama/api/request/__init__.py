"""From a body to validated types: what all dialects share."""
