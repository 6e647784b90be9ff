"""What the figures are of: this machine, and how busy it is."""
