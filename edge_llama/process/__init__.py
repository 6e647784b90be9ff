"""Child processes, and the limits they set for themselves."""
