from __future__ import annotations

import os

# Whatever runs here keeps no prompts on disk unless it asks for that.
os.environ["EDGE_LLAMA_CACHE_SIZE"] = "0"
