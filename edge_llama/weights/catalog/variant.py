"""One quantization of a model in one repository, and the files it is made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file of weights as the hub has it.

    Attributes:
        path: inside its repository, with `/`.
        size: bytes; None if unknown.
        sha256: lower-case hex; None if unknown.
    """

    path: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """One quantization in one repository of the hub.

    Attributes:
        repository: `owner/name`.
        quantization: as llama.cpp names it, e.g. `Q4_K_M`.
        files: in the order of the split; one if it is not split.
        revision: the commit they are of; None for the newest.
        approximate_size: bytes of all files, rounded, where a model card tells no more.
    """

    repository: str
    quantization: str
    files: tuple[WeightFile, ...]
    revision: str | None = None
    approximate_size: int | None = None

    @property
    def size(self) -> int | None:
        """Bytes of all files; None if one is unknown."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def expected_size(self) -> int | None:
        """`size`, else `approximate_size`: to plan with, not to check a download by."""
        return self.approximate_size if self.size is None else self.size
