"""What `edge-llama tune` found for a model on this machine."""
