"""What the next step computes, and at what pace."""
