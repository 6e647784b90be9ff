"""What KV depends on besides its tokens."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

FINGERPRINT_BYTES = 16

SAMPLES = 2048
SAMPLE_SIZE = 4096
"""How many places of a model file are read, and how many bytes at each.

All of a file would be 5 GB to read and hash before the first answer can be looked up, on every
machine that a model comes to. Models that were trained, quantized or merged differently differ in
nearly every matrix, and of Llama 3.1 8B each matrix that is larger than 2.4 MB has its sample. Who
changes a file so that this does not show can only fool himself.
"""

_PART = re.compile(r"(.+)-00001-of-(\d{5})\.gguf", re.IGNORECASE)


def fingerprint(model: Path, layout: str) -> bytes:
    """A hash of a model's files and of how its KV is stored; 16 bytes.

    Args:
        model: its first file.
        layout: all else that the bytes of the KV depend on.

    Raises:
        OSError: the model cannot be read.
    """
    digest = hashlib.blake2b(layout.encode(), digest_size=FINGERPRINT_BYTES)
    for path in _parts(model):
        size = path.stat().st_size
        digest.update(size.to_bytes(8, "little"))
        step = max(size // SAMPLES, SAMPLE_SIZE)
        with path.open("rb", buffering=0) as file:
            for place in range(0, size, step):
                file.seek(place)
                digest.update(file.read(SAMPLE_SIZE))
    return digest.digest()


def _parts(model: Path) -> list[Path]:
    """All files of a model that may be split as `llama-gguf-split` does it."""
    match = _PART.fullmatch(model.name)
    if match is None:
        return [model]
    prefix, count = match[1], match[2]
    names = (f"{prefix}-{number:05}-of-{count}.gguf" for number in range(1, int(count) + 1))
    return [model.with_name(name) for name in names]
