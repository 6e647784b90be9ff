"""llama.cpp through llama-cpp-python's low-level binding: the only package that imports it.

Everything here trusts its arguments: llama.cpp aborts the process on many bad ones, so callers
validate first. Sizes and ids are checked by the scheduler and the KV cache above.
"""

import os

# How often GNU OpenMP's threads look for work before they sleep. With its default, 300,000, threads
# that wait at a barrier keep the CPU from the one they wait for as soon as another program wants it
# too: prompts of a small model were read 2.5 times slower. On an idle machine there is no
# difference. It is set before libgomp is loaded, which reads it then.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# A failed assertion would start gdb on the dying process.
os.environ.setdefault("GGML_NO_BACKTRACE", "1")

from edge_llama.engine.binding.arrays import ByteArray, FloatArray
from edge_llama.engine.binding.backend import has_gpu, init_backend, system_info, version
from edge_llama.engine.binding.batch import Batch
from edge_llama.engine.binding.context import Context, DecodeError, DecodeStatus
from edge_llama.engine.binding.model import Model
from edge_llama.engine.binding.vocab import Vocab

__all__ = [
    "Batch",
    "ByteArray",
    "Context",
    "DecodeError",
    "DecodeStatus",
    "FloatArray",
    "Model",
    "Vocab",
    "has_gpu",
    "init_backend",
    "system_info",
    "version",
]
