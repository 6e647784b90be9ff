"""What is measured, and the suite that does it."""
