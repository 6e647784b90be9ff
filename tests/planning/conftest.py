from __future__ import annotations

from tests.installed import gguf, store, tiny

__all__ = ["gguf", "store", "tiny"]
