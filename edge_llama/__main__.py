"""`python -m edge_llama` is `edge-llama`."""

from edge_llama.cli import main

if __name__ == "__main__":
    main()
