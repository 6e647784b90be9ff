"""A model to download, and what a download may leave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge_llama.weights.catalog.variant import Variant, WeightFile
from edge_llama.weights.hub.retry import TransferSettings
from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store
from tests.effort import PATIENCE
from tests.mock_hub import Kind, gguf_bytes

FAST = TransferSettings(attempts=3, first_wait=0.01, longest_wait=0.05, timeout=PATIENCE)
ONCE = replace(FAST, attempts=1)
REPOSITORY = "owner/Llama-GGUF"
NAME = "model-Q4_K_M.gguf"
CONTENT = gguf_bytes(300_000)
VARIANT = Variant(REPOSITORY, "Q4_K_M", (WeightFile(NAME),))


def patience_with(kind: Kind) -> TransferSettings:
    """To wait for a byte that never comes; all others may take their time."""
    return replace(FAST, timeout=1.0) if kind == "stall" else FAST


def left_over(store: Store) -> list[Path]:
    return list((store.root / ".incoming").rglob("*"))


def staged(store: Store) -> list[Path]:
    return [path for path in left_over(store) if path.is_file()]


def is_good(model: InstalledModel) -> bool:
    return model.path.read_bytes() == CONTENT and model.is_complete
