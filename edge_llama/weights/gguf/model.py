"""A model on disk: one GGUF, or all parts of a split one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_llama.errors import ModelFileError, NoLanguageModel
from edge_llama.weights.catalog.file_kind import FileKind, kind_by_name
from edge_llama.weights.catalog.split import split_part
from edge_llama.weights.gguf.file_type import see_that_it_is_a_model
from edge_llama.weights.gguf.header import GGUFHeader, SkippedArray, TensorInfo, read_header

SPLIT_COUNT, SPLIT_NUMBER = "split.count", "split.no"  # the number is from 0
SPLIT_TENSORS = "split.tensors.count"

_NAMED_BESIDE = 3


@dataclass(frozen=True, slots=True)
class GGUFModel:
    """What the headers of a model's files say.

    Attributes:
        paths: its files in order; the first is the one that llama.cpp opens.
        headers: theirs; the metadata that counts is the first's.
    """

    paths: tuple[Path, ...]
    headers: tuple[GGUFHeader, ...]

    @property
    def path(self) -> Path:
        return self.paths[0]

    @property
    def tensors(self) -> Iterator[TensorInfo]:
        """Of all files."""
        return (tensor for header in self.headers for tensor in header.tensors)

    def text(self, key: str) -> str:
        """A metadata entry as text, as llama.cpp reads it: up to a NUL; empty if it is none."""
        value = self.headers[0].metadata.get(key)
        return value.partition("\0")[0] if isinstance(value, str) else ""

    def number(self, key: str) -> int | None:
        """A whole number of the metadata, the largest if the entry has one for each layer."""
        return max(self.numbers(key), default=None)

    def numbers(self, key: str) -> tuple[int, ...]:
        """Whole numbers of the metadata, from one or from an array; empty if they are not there.

        Raises:
            ModelFileError: the entry is something else, or negative.
        """
        value = self.headers[0].metadata.get(key, ())
        values = value if isinstance(value, tuple) else (value,)
        numbers = tuple(int(number) for number in values if isinstance(number, int))
        if len(numbers) != len(values) or min(numbers, default=0) < 0:
            raise ModelFileError(
                f"{self.path} is not a model that can be run: its {key!r} is no number."
            )
        return numbers

    def length(self, key: str) -> int:
        """Entries of an array of the metadata; 0 if it is not there or no array."""
        value = self.headers[0].metadata.get(key)
        if isinstance(value, SkippedArray):
            return value.length
        return len(value) if isinstance(value, tuple) else 0


def read_model(path: Path) -> GGUFModel:
    """Read the headers of `path` and, if it is the first part of a split model, of all others.

    Raises:
        ModelFileError: a file is missing, unreadable, cut off or malformed, or `path` is a part
            other than the first.
        NoLanguageModel: it belongs to a model and is none; the text names those beside it.
    """
    first = GGUFModel((path,), (read_header(path),))
    try:
        see_that_it_is_a_model(path, first.headers[0])
    except NoLanguageModel as error:
        raise NoLanguageModel(f"{error}{_beside(path)}") from error
    parts = first.number(SPLIT_COUNT) or 1
    if parts == 1:
        return first
    paths = _part_paths(first, parts)
    model = GGUFModel(paths, (*first.headers, *map(_read_part, paths[1:])))
    expected, found = first.number(SPLIT_TENSORS), sum(1 for _ in model.tensors)
    if expected is not None and found != expected:
        raise ModelFileError(
            f"{path} and its other parts have {found} tensors and not {expected}: they are not "
            "of one model. Download them again."
        )
    return model


def _beside(path: Path) -> str:
    """The models in the same folder, by their names."""
    try:
        names = sorted(each.name for each in path.parent.glob("*.gguf") if each != path)
    except OSError:
        names = []
    models = [name for name in names if kind_by_name(name) is FileKind.MODEL][:_NAMED_BESIDE]
    return f" Beside it: {', '.join(models)}." if models else " Give the model it belongs to."


def _part_paths(first: GGUFModel, parts: int) -> tuple[Path, ...]:
    path = first.path
    place = split_part(path.name)
    if place is None or place.parts != parts:
        raise ModelFileError(
            f"{path} is one of {parts} parts, but its name does not say so. Give it back the name "
            f"it was published under, …-00001-of-{parts:05}.gguf."
        )
    names = [f"{place.prefix}-{n:05}-of-{parts:05}.gguf" for n in range(1, parts + 1)]
    if place.part != 1 or first.number(SPLIT_NUMBER):
        raise ModelFileError(
            f"{path} is not the first of the model's {parts} parts. Give {names[0]} instead."
        )
    return (path, *map(path.with_name, names[1:]))


def _read_part(path: Path) -> GGUFHeader:
    if not path.exists():
        raise ModelFileError(
            f"{path} is missing: the model is split into parts, and all must be in one folder."
        )
    return read_header(path)
