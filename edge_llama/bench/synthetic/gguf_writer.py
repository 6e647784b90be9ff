"""Writes GGUF files, version 3: metadata, then tensors one after another, never all in memory.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from edge_llama.bench.synthetic.blocks import Floats, WeightFormat

ALIGNMENT = 32

UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9

HeaderValue: TypeAlias = bool | int | float | str | Sequence[str] | Sequence[int]


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file.

    Attributes:
        name: e.g. `blk.0.attn_q.weight`.
        shape: rows first, as in numpy; the file has it reversed.
        type: how its numbers are stored.
        chunks: makes the data, in pieces that add up to `size` bytes.
    """

    name: str
    shape: tuple[int, ...]
    type: WeightFormat
    chunks: Callable[[], Iterator[Floats]]

    @property
    def size(self) -> int:
        """Bytes in the file, without padding."""
        return self.type.size(int(np.prod(self.shape)))


def write_gguf(path: Path, metadata: Mapping[str, HeaderValue], tensors: Sequence[Tensor]) -> None:
    """Write a whole GGUF file. Integers become uint32, lists of integers arrays of int32.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("wb") as file:
        header = file_header(metadata, tensors)
        file.write(header)
        file.write(_padding(len(header)))
        for tensor in tensors:
            file.writelines(chunk.data for chunk in tensor.chunks())
            file.write(_padding(tensor.size))


def file_header(metadata: Mapping[str, HeaderValue], tensors: Sequence[Tensor]) -> bytes:
    """All that stands before the tensors' data, without padding."""
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    for key, value in metadata.items():
        parts += [_string(key), _value(value)]
    parts += _tensor_infos(tensors)
    return b"".join(parts)


def _tensor_infos(tensors: Iterable[Tensor]) -> Iterator[bytes]:
    offset = 0
    for tensor in tensors:
        n_dims = len(tensor.shape)
        yield _string(tensor.name)
        yield struct.pack(
            f"<I{n_dims}QIQ", n_dims, *reversed(tensor.shape), tensor.type.value, offset
        )
        offset += tensor.size + len(_padding(tensor.size))


def _value(value: HeaderValue) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", UINT32, value)
    if isinstance(value, float):
        return struct.pack("<If", FLOAT32, value)
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _string(value)
    return _array(value)


def _array(values: Sequence[str] | Sequence[int]) -> bytes:
    strings = [_string(value) for value in values if isinstance(value, str)]
    if strings:
        return struct.pack("<IIQ", ARRAY, STRING, len(strings)) + b"".join(strings)
    head = struct.pack("<IIQ", ARRAY, INT32, len(values))
    return head + np.asarray(values, dtype="<i4").tobytes()


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _padding(size: int) -> bytes:
    return bytes(-size % ALIGNMENT)
