"""The fixed part of a GGUF header: enough to tell a model file from anything else.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from pathlib import Path

from edge_llama.errors import ModelFileError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_ENTRIES = 1 << 20

_HEADER = struct.Struct("<4sIQQ")  # magic, version, tensors, metadata entries
_MIN_METADATA_BYTES = 8 + 1 + 4 + 1  # key length, key, type, value
_MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8  # name length, name, dims, one dim, type, offset


def check_header(path: Path) -> None:
    """Read the first 24 bytes of `path`.

    Raises:
        ModelFileError: it cannot be read, or is not a little-endian GGUF of version 2 or 3 that
            is long enough for what its header announces.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
        size = path.stat().st_size
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not head:
        raise ModelFileError(f"{path} is empty. Download or copy it again.")
    if head[:4] != MAGIC:
        raise ModelFileError(f"{path} is not a GGUF model: it does not begin with 'GGUF'.")
    if len(head) < _HEADER.size:
        raise _truncated(path, size)
    _, version, tensors, metadata = _HEADER.unpack(head)
    if version not in VERSIONS:
        raise ModelFileError(
            f"{path} has GGUF version {version:#x}, which cannot be read. Get a current "
            "little-endian GGUF (version 3)."
        )
    # The first file of a split model may have metadata alone.
    if not (0 <= tensors <= MAX_ENTRIES and 0 < metadata <= MAX_ENTRIES):
        raise ModelFileError(
            f"{path} is not a model that can be run: its header announces {tensors} tensors and "
            f"{metadata} metadata entries."
        )
    if size < _HEADER.size + metadata * _MIN_METADATA_BYTES + tensors * _MIN_TENSOR_BYTES:
        raise _truncated(path, size)


def _truncated(path: Path, size: int) -> ModelFileError:
    return ModelFileError(
        f"{path} is cut off: {size} bytes are too few for its header. Download or copy it again."
    )
