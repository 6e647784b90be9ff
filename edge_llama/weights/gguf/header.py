"""What a GGUF says of itself before its tensors' data: metadata and the tensors' places.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

A header comes from anywhere, so every length in it is held against the bytes that are there.
"""

from __future__ import annotations

import contextlib
import math
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import SEEK_END, BufferedReader
from pathlib import Path
from typing import Any, TypeAlias

from edge_llama.errors import ModelFileError
from edge_llama.units import format_limit
from edge_llama.weights.gguf.ggml_types import TENSOR_TYPES, TensorType

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_METADATA = 1 << 12
"""Models have 30 to 60 entries; one that is merged of dozens names them all, in hundreds."""
MAX_TENSORS = 1 << 15
"""Llama 3.1 405B has 1,138; of models whose experts are not stacked, some have thousands."""
MAX_HEADER_BYTES = 64 << 20
"""Llama 3's, with 128,256 tokens and 280,147 merges, has 8 MB."""
MAX_TEXTS = 1 << 21
"""In all arrays. Llama 3's tokens and merges are 408,403."""
MAX_KEPT = 256
"""Longer arrays, and those of texts, such as a vocabulary, are skipped."""
MAX_TEXT_BYTES = 1 << 10
"""Of longer texts, such as a chat template, the beginning is kept."""
MAX_NAME_BYTES = 256
MAX_LISTED_BYTES = 1 << 16
"""Of a text in an array."""
MAX_DIMS = 4
MAX_WEIGHTS = (1 << 63) - 1
DEFAULT_ALIGNMENT = 32
MIN_ALIGNMENT = 32
"""In a file that is mapped, ggml takes no tensors that begin elsewhere."""

_WINDOW = 1 << 16
_HEADER = struct.Struct("<4sIQQ")  # magic, version, tensors, metadata entries
_MIN_METADATA_BYTES = 8 + 1 + 4 + 1  # key length, key, type, value
_MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8  # name length, name, dims, one dim, type, offset

_STRING, _ARRAY = 8, 9
_NUMBERS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_UINT32, _UINT64 = _NUMBERS[4], _NUMBERS[10]


@dataclass(frozen=True, slots=True)
class SkippedArray:
    """An array that was skipped.

    Attributes:
        length: its entries.
        start: bytes of the file before the first.
        format: of one number, as `struct` names it; empty if the entries are texts.
    """

    length: int
    start: int = field(default=0, compare=False)
    format: str = field(default="", compare=False)


Scalar: TypeAlias = bool | int | float | str
MetadataValue: TypeAlias = Scalar | tuple[Scalar, ...] | SkippedArray


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor is and what it is made of.

    Attributes:
        name: e.g. `blk.0.attn_q.weight`.
        shape: as in the file: the length of a row first.
        type: how its numbers are stored.
        offset: bytes from the start of the data.
    """

    name: str
    shape: tuple[int, ...]
    type: TensorType
    offset: int

    @property
    def n_weights(self) -> int:
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes, without padding."""
        return self.type.size(self.n_weights)


@dataclass(frozen=True, slots=True)
class GGUFHeader:
    """All that one file says before its data.

    Attributes:
        metadata: by key; a text has up to `MAX_TEXT_BYTES`, and arrays of texts or of more than
            `MAX_KEPT` numbers are a `SkippedArray`.
        tensors: in the order of the file.
        data_start: bytes before the data of the tensors.
    """

    metadata: Mapping[str, MetadataValue]
    tensors: tuple[TensorInfo, ...]
    data_start: int

    @property
    def data_end(self) -> int:
        """Bytes that the file must have."""
        return max((self.data_start + t.offset + t.size for t in self.tensors), default=0)


def check_header(path: Path) -> None:
    """Read the first 24 bytes of `path`.

    Raises:
        ModelFileError: it cannot be read, or is not a little-endian GGUF of version 2 or 3 that
            is long enough for what its header announces.
    """
    with _opened(path) as file:
        _check_fixed_part(path, file)


def read_header(path: Path) -> GGUFHeader:
    """Read the whole header of `path`, and see that the data of its tensors is there.

    Raises:
        ModelFileError: as for `check_header`; or the header is malformed, or the file is shorter
            than its tensors.
    """
    with _opened(path) as file:
        size = _check_fixed_part(path, file)
        try:
            header = _parse(_Cursor(file, size))
        except _EndOfData:
            raise _truncated(path, size) from None
        except _MalformedHeader as error:
            raise ModelFileError(f"{path} is not a model that can be run: {error}.") from None
    if size < header.data_end:
        raise ModelFileError(
            f"{path} is cut off: {header.data_end - size:,} bytes are missing. "
            "Download or copy it again."
        )
    return header


def read_strings(path: Path, header: GGUFHeader, key: str) -> Iterator[bytes]:
    """The strings of a `SkippedArray` of the metadata of `path`; none if it is something else.

    Raises:
        ModelFileError: the file cannot be read, or one has more than `MAX_LISTED_BYTES`.
    """
    array = header.metadata.get(key)
    if not isinstance(array, SkippedArray) or array.format:
        return
    with _opened(path) as file:
        file.seek(array.start)
        for _ in range(array.length):
            size = int.from_bytes(file.read(_UINT64.size), "little")
            if size > MAX_LISTED_BYTES:
                raise ModelFileError(
                    f"{path} is not a model that can be run: one of its {key!r} has {size:,} bytes."
                )
            yield file.read(size)


def read_numbers(path: Path, header: GGUFHeader, key: str, count: int) -> tuple[Any, ...]:
    """The first `count` numbers of an array of the metadata of `path`; none if it is none.

    Raises:
        ModelFileError: the file cannot be read.
    """
    array = header.metadata.get(key)
    if isinstance(array, tuple):
        return array[:count]
    if not isinstance(array, SkippedArray) or not array.format:
        return ()
    format = struct.Struct(f"<{min(count, array.length)}{array.format[1:]}")
    with _opened(path) as file:
        file.seek(array.start)
        data = file.read(format.size)
    if len(data) < format.size:
        raise ModelFileError(f"{path} was changed while it was read. Try again.")
    return format.unpack(data)


def _check_fixed_part(path: Path, file: BufferedReader) -> int:
    """Raises as `check_header` does; returns the bytes that the file has."""
    head = file.read(_HEADER.size)
    size = file.seek(0, SEEK_END)
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
    if not (0 <= tensors <= MAX_TENSORS and 0 < metadata <= MAX_METADATA):
        raise ModelFileError(
            f"{path} is not a model that can be run: its header announces {tensors} tensors and "
            f"{metadata} metadata entries."
        )
    if size < _HEADER.size + metadata * _MIN_METADATA_BYTES + tensors * _MIN_TENSOR_BYTES:
        raise _truncated(path, size)
    return size


class _EndOfData(Exception):
    """There are fewer bytes than the header announces."""


class _MalformedHeader(Exception):
    """What is wrong, fit to follow a colon."""


class _Cursor:
    """Reads one thing after another, and holds no more of the file than that.

    Raises `_EndOfData` where that would go beyond the end.
    """

    def __init__(self, file: BufferedReader, size: int) -> None:
        self._file, self._size = file, size
        self._texts = 0
        self.position = file.seek(0)

    def bytes(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise _EndOfData
        self.position += size
        return data

    def number(self, format: struct.Struct) -> Any:
        return format.unpack(self.bytes(format.size))[0]

    def numbers(self, format: struct.Struct, count: int) -> tuple[Any, ...]:
        return struct.unpack(f"<{count}{format.format[1:]}", self.bytes(count * format.size))

    def name(self) -> str:
        size = self.number(_UINT64)
        if size > MAX_NAME_BYTES:
            raise _MalformedHeader(f"it has a name of {size:,} bytes")
        return self._text(size)

    def text(self) -> str:
        size = self.number(_UINT64)
        text = self._text(min(size, MAX_TEXT_BYTES))
        self.skip(max(0, size - MAX_TEXT_BYTES))
        return text

    def _text(self, size: int) -> str:
        return self.bytes(size).decode("utf-8", errors="replace")

    def skip(self, size: int) -> None:
        self.position += size
        if self.position > self._size:
            raise _EndOfData
        if self.position > MAX_HEADER_BYTES:
            raise _MalformedHeader(f"its header has more than {format_limit(MAX_HEADER_BYTES)}")
        self._file.seek(self.position)

    def skip_texts(self, count: int) -> None:
        """Skip `count` texts: a vocabulary has 128,256 and must not take long."""
        if count > (self._size - self.position) // _UINT64.size:
            raise _EndOfData
        self._texts += count
        if self._texts > MAX_TEXTS:
            raise _MalformedHeader(f"it has more than {MAX_TEXTS:,} texts")
        window, place, unpack = b"", 0, _UINT64.unpack_from
        for _ in range(count):
            if place > len(window) - _UINT64.size:
                self.skip(place)
                window, place = self._file.read(_WINDOW), 0
                if len(window) < _UINT64.size:
                    raise _EndOfData
            place += unpack(window, place)[0] + _UINT64.size
        self.skip(place)


def _parse(cursor: _Cursor) -> GGUFHeader:
    cursor.skip(8)  # magic and version
    n_tensors, n_metadata = cursor.number(_UINT64), cursor.number(_UINT64)
    metadata = _unique("metadata entry", n_metadata, _metadata(cursor, n_metadata))
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < MIN_ALIGNMENT or alignment & (alignment - 1):
        raise _MalformedHeader(f"its general.alignment is no power of two from {MIN_ALIGNMENT} on")
    tensors = _unique("tensor", n_tensors, _tensors(cursor, n_tensors, alignment))
    data_start = -(-cursor.position // alignment) * alignment
    return GGUFHeader(metadata, tuple(tensors.values()), data_start)


def _unique(noun: str, count: int, items: Iterator[tuple[str, Any]]) -> dict[str, Any]:
    """The `count` items by name; llama.cpp takes a name once."""
    by_name = dict(items)
    if len(by_name) != count:
        raise _MalformedHeader(f"it has a {noun} twice")
    return by_name


def _metadata(cursor: _Cursor, count: int) -> Iterator[tuple[str, MetadataValue]]:
    for _ in range(count):
        key = cursor.name()
        if "\0" in key:  # where llama.cpp takes it to end
            raise _MalformedHeader(f"it has a metadata entry {_shown(key)}")
        yield key, _value(cursor, cursor.number(_UINT32))


def _value(cursor: _Cursor, kind: int) -> MetadataValue:
    return _array(cursor) if kind == _ARRAY else _scalar(cursor, kind)


def _scalar(cursor: _Cursor, kind: int) -> Scalar:
    if kind == _STRING:
        return cursor.text()
    if (format := _NUMBERS.get(kind)) is None:
        raise _MalformedHeader(f"it has a metadata value of the unknown type {kind}")
    value: bool | int | float = cursor.number(format)
    return value


def _array(cursor: _Cursor) -> tuple[Scalar, ...] | SkippedArray:
    kind, length = cursor.number(_UINT32), cursor.number(_UINT64)
    if kind == _ARRAY:
        raise _MalformedHeader("it has an array of arrays")
    start = cursor.position
    if kind == _STRING:
        cursor.skip_texts(length)
        return SkippedArray(length, start)
    if kind not in _NUMBERS:
        raise _MalformedHeader(f"it has an array of the unknown type {kind}")
    format = _NUMBERS[kind]
    if length <= MAX_KEPT:
        return cursor.numbers(format, length)
    cursor.skip(length * format.size)
    return SkippedArray(length, start, format.format)


def _tensors(cursor: _Cursor, count: int, alignment: int) -> Iterator[tuple[str, TensorInfo]]:
    for _ in range(count):
        tensor = _tensor(cursor)
        if tensor.offset % alignment:
            raise _MalformedHeader(f"tensor {_shown(tensor.name)} is not aligned")
        yield tensor.name, tensor


def _tensor(cursor: _Cursor) -> TensorInfo:
    name = cursor.name()
    n_dims = cursor.number(_UINT32)
    if n_dims > MAX_DIMS:
        raise _MalformedHeader(f"tensor {_shown(name)} has {n_dims} dimensions")
    shape = cursor.numbers(_UINT64, n_dims)
    kind, offset = cursor.number(_UINT32), cursor.number(_UINT64)
    if (type := TENSOR_TYPES.get(kind)) is None:
        raise _MalformedHeader(f"tensor {_shown(name)} is of the unknown type {kind}")
    if math.prod(shape) > MAX_WEIGHTS or math.prod(shape[:1]) % type.block_weights:
        raise _MalformedHeader(f"tensor {_shown(name)} has an impossible shape for {type.name}")
    return TensorInfo(name, shape, type, offset)


def _shown(name: str) -> str:
    """A name from a file, fit for one line."""
    return repr(name if len(name) <= 64 else name[:64] + "…")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    try:
        # Opening a pipe waits for somebody to write to it.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelFileError(f"{path} is not a file. Give the path of a .gguf file.")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}.") from error


def _truncated(path: Path, size: int) -> ModelFileError:
    return ModelFileError(
        f"{path} is cut off: {size} bytes are too few for its header. Download or copy it again."
    )
