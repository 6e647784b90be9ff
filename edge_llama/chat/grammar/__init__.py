"""The form that an answer must have."""
