"""Prints how llama.cpp was built, for whoever must not load it himself: one line of JSON.

Loading it may print too, and may end the process.
"""

from __future__ import annotations

import json
import sys

from edge_llama.engine.binding import has_gpu, system_info

sys.stdout.write(f"\n{json.dumps({'system_info': system_info(), 'gpu': has_gpu()})}\n")
