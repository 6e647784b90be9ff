"""The engine process: `python -m edge_llama.engine.worker`."""

from __future__ import annotations

from edge_llama.engine.worker.worker import main

main()
