"""From what a user calls a model to settings that fit this machine."""
