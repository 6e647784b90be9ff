"""What is fastest on this machine, found by measuring."""
