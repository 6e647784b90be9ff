"""What crosses the pipe between the two processes."""
