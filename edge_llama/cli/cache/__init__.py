"""`edge-llama cache` and `edge-llama warm`: prompts that are kept."""
