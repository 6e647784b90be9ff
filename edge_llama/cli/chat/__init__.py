"""`edge-llama chat`: a conversation in the terminal."""
