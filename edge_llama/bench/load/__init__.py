"""What is asked of a target, and what came back."""
