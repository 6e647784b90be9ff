"""Finding the models that other programs keep on this disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from edge_llama.errors import ModelFileError, UnknownModel
from edge_llama.weights.caches import huggingface, llama_cpp, lm_studio, ollama
from edge_llama.weights.caches.found import Findings, FoundModel
from edge_llama.weights.catalog.split import split_part
from edge_llama.weights.gguf.model import read_model

CACHES = (huggingface, ollama, lm_studio, llama_cpp)


def scan(home: Path | None = None, environ: Mapping[str, str] = os.environ) -> Findings:
    """Search the folders of Hugging Face, Ollama, LM Studio and llama.cpp."""
    findings = Findings()
    searched: set[str] = set()
    for cache in CACHES:
        for folder in cache.folders(home or Path.home(), environ):
            real = os.path.realpath(folder)
            if real not in searched and os.path.isdir(real):  # noqa: PTH112  Path's may raise
                searched.add(real)
                cache.search(folder, findings)
    findings.models = _unique(findings.models)
    return findings


def find_at(path: Path) -> Findings:
    """The models at a path that the user named: a GGUF, any part of a split one, or a folder.

    Raises:
        UnknownModel: there is nothing at `path`.
        ModelFileError: there is a file that is no model.
    """
    path = path.expanduser().absolute()
    if not path.is_dir():
        return _find_file(path)
    findings = Findings()
    findings.search(path, None, lambda folder: None)
    findings.models = _unique(findings.models)
    return findings


def _find_file(path: Path) -> Findings:
    if (place := split_part(path.name)) is not None:
        path = path.with_name(f"{place.prefix}-00001-of-{place.parts:05}.gguf")
    if not path.exists():
        raise UnknownModel(f"There is no file {str(path)!r}. Give a .gguf file or a folder.")
    model = read_model(path)
    findings = Findings()
    files = [findings.file(part, part.name) for part in model.paths]
    findings.collect([file for file in files if file is not None], app=None)
    if not findings.models:
        raise ModelFileError(
            f"{path} cannot be used: it is no language model, or its path is not valid UTF-8."
        )
    return findings


def _unique(models: list[FoundModel]) -> list[FoundModel]:
    """Each file once: programs link to each other's, and one's folder may lie in another's."""
    seen: set[tuple[tuple[int, int], ...]] = set()
    unique = []
    for model in models:
        statuses = [file.path.stat() for file in model.files]
        key = tuple((status.st_dev, status.st_ino) for status in statuses)
        if key not in seen:
            seen.add(key)
            unique.append(model)
    return unique
