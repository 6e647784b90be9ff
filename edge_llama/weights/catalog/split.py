"""Models in several files: `…-00001-of-00003.gguf`, as `llama-gguf-split` names them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_llama.weights.catalog.quantization import UNKNOWN, quality_rank, quantization_of
from edge_llama.weights.catalog.variant import Variant, WeightFile

_PART = re.compile(r"(?P<prefix>.+)-(?P<part>\d{5})-of-(?P<parts>\d{5})\.gguf", re.I | re.A | re.S)


@dataclass(frozen=True, slots=True)
class SplitPart:
    """What the name of a part tells.

    Attributes:
        prefix: what is before the numbers, the same for all parts.
        part: from 1.
        parts: how many there are.
    """

    prefix: str
    part: int
    parts: int


def split_part(path: str) -> SplitPart | None:
    """The place of `path` in a split model; None if it is a file of its own."""
    if (match := _PART.fullmatch(path)) is None:
        return None
    return SplitPart(match["prefix"], int(match["part"]), int(match["parts"]))


def all_parts(path: str) -> tuple[str, ...]:
    """The paths of all parts of the split model that `path` is of; itself if it is not split."""
    if (part := split_part(path)) is None:
        return (path,)
    numbers = range(1, part.parts + 1)
    return tuple(f"{part.prefix}-{number:05}-of-{part.parts:05}.gguf" for number in numbers)


def is_complete(paths: Sequence[str]) -> bool:
    """Whether `paths`, in order, are all files of one model."""
    parts = [split_part(path) for path in paths]
    if parts == [None]:
        return True
    first = parts[0] if parts else None
    if first is None:
        return False
    return parts == [SplitPart(first.prefix, n, first.parts) for n in range(1, first.parts + 1)]


def group_variants(
    repository: str, files: Iterable[WeightFile], revision: str | None = None
) -> list[Variant]:
    """The models that files make up, best quality first.

    What is no GGUF is left out, and so is a split model that lacks a part. Several
    variants may have the same quantization, where a repository holds more than one model.
    """
    groups: defaultdict[str, list[WeightFile]] = defaultdict(list)
    for file in sorted(files, key=lambda file: file.path):
        if file.path.lower().endswith(".gguf"):
            part = split_part(file.path)
            groups[part.prefix if part else file.path].append(file)
    variants = [
        Variant(repository, quantization_of(group[0].path) or UNKNOWN, tuple(group), revision)
        for group in groups.values()
        if is_complete([file.path for file in group])
    ]
    return sorted(variants, key=lambda variant: quality_rank(variant.quantization))
