"""`edge-llama show`: what is known about a model."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_llama.cli.completion import complete_model
from edge_llama.cli.models.description import (
    AvailableModel,
    DescribedFile,
    Describer,
    Dimensions,
    LocalModel,
)
from edge_llama.cli.models.fit import with_serve_flags
from edge_llama.cli.options import AsJSON, MemoryBudget
from edge_llama.cli.terminal.tables import Column, print_facts, print_json, print_table
from edge_llama.planning.budget import memory_budget
from edge_llama.units import format_count, format_size

if TYPE_CHECKING:
    from edge_llama.planning.fit import Fit
    from edge_llama.weights.catalog.catalog import CatalogModel
    from edge_llama.weights.catalog.variant import Variant


def show(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="An installed model, 'demo', the path of a .gguf file, or a model of the catalog.",
            autocompletion=complete_model,
        ),
    ],
    memory: MemoryBudget = None,
    as_json: AsJSON = False,
) -> None:
    """Show what a model is and what it would take, without loading it.

    --json prints an object with `id`, `name`, `installed`, `local` (whether its files are on this
    disk), `parameters`, `context_length`, `layers`, `heads`, `kv_heads` (of a layer),
    `vocabulary`, `kv_bytes_per_token` (at f16), `licence` and `licence_url`. A local model also
    has `architecture`, `quantization`, `bytes`, `chat_template`, `source`, `files` (with `path`,
    `bytes` and `sha256`, null if it is not recorded) and `fit`, as in `list --all --json`; one of
    the catalog has `aliases` and `variants` (`repository`, `quantization`, `bytes`, `files`,
    `fit`).
    """
    from edge_llama.weights.catalog.catalog import load_catalog
    from edge_llama.weights.store.store import default_store

    describer = Describer(default_store(), load_catalog(), memory_budget(memory))
    found = describer.describe(model)
    if isinstance(found, AvailableModel):
        print_json(_available_json(found)) if as_json else _print_available(found)
    else:
        print_json(_local_json(found)) if as_json else print_facts(_local_facts(found))


def _local_facts(found: LocalModel) -> Iterator[tuple[str, str]]:
    yield "model", found.id
    yield "name", found.shape.name
    yield "architecture", found.shape.architecture
    yield "quantization", found.shape.quantization
    yield from _dimension_facts(Dimensions.of_shape(found.shape))
    yield "chat template", "in the file" if found.chat_template else "none in the file"
    yield "licence", _licence(found.licence, found.licence_url)
    yield "source", found.source
    yield "files", "\n".join(_file_lines(found.files))
    yield "memory", with_serve_flags(found.fit).summary
    if found.fit.speed is not None:
        yield "speed", f"{found.fit.speed} (estimate)"


def _print_available(found: AvailableModel) -> None:
    model = found.model
    print_facts(_available_facts(model))
    for repository in model.repositories:
        rows = [_row(v, fit) for v, fit in found.variants if v.repository == repository.name]
        if not rows:
            continue
        gated = " (gated: its licence has to be accepted there first)" if repository.gated else ""
        sys.stdout.write(f"\n{repository.name}{gated}\n")
        print_table(_VARIANT_COLUMNS, rows)
    sys.stdout.write(f"\nNot installed. To install it: edge-llama pull {model.id}\n")


def _available_facts(model: CatalogModel) -> Iterator[tuple[str, str]]:
    yield "model", model.id
    yield "name", model.name
    yield "other names", ", ".join(model.aliases)
    if model.architecture is not None:
        yield from _dimension_facts(Dimensions.of_architecture(model.architecture))
    yield "licence", _licence(model.licence, model.licence_url)
    yield "repositories", "\n".join(repository.name for repository in model.repositories)


_VARIANT_COLUMNS = [
    Column("quantization"),
    Column("size", right=True),
    Column("here"),
    Column("context", right=True),
    Column("speed (estimate)"),
]


def _row(variant: Variant, fit: Fit | None) -> list[str]:
    size = variant.expected_size
    plan = fit.plan if fit else None
    return [
        variant.quantization,
        "" if size is None else format_size(size),
        fit.word if fit else "",
        f"{plan.ctx_size:,}" if plan else "",
        str(fit.speed or "") if fit else "",
    ]


def _dimension_facts(dimensions: Dimensions) -> Iterator[tuple[str, str]]:
    yield "parameters", format_count(dimensions.parameters)
    yield "context", f"{dimensions.context_length:,} tokens"
    yield "layers", str(dimensions.layers)
    cached = dimensions.kv_bytes_per_token
    shared = f", and {dimensions.kv_heads} of keys and values" if cached else ""
    yield "heads", f"{dimensions.heads}{shared}"
    yield "vocabulary", f"{dimensions.vocabulary:,} tokens"
    yield "KV cache", f"{cached:,} bytes a token at f16" if cached else "none: it embeds texts"


def _licence(name: str | None, url: str | None) -> str:
    return "\n".join(filter(None, (name, url))) or "not told"


def _file_lines(files: Iterable[DescribedFile]) -> Iterator[str]:
    for file in files:
        yield f"{file.path} ({format_size(file.size)})"
        if file.sha256 is not None:
            yield f"sha256 {file.sha256}"


def _local_json(found: LocalModel) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.shape.name,
        "installed": found.installed is not None,
        "local": True,
        **asdict(Dimensions.of_shape(found.shape)),
        "licence": found.licence,
        "licence_url": found.licence_url,
        "architecture": found.shape.architecture,
        "quantization": found.shape.quantization,
        "bytes": sum(file.size for file in found.files),
        "chat_template": found.chat_template,
        "source": found.source,
        "files": [
            {"path": str(file.path), "bytes": file.size, "sha256": file.sha256}
            for file in found.files
        ],
        "fit": with_serve_flags(found.fit).as_json(),
    }


def _available_json(found: AvailableModel) -> dict[str, Any]:
    model = found.model
    known = model.architecture and asdict(Dimensions.of_architecture(model.architecture))
    return {
        "id": model.id,
        "name": model.name,
        "installed": False,
        "local": False,
        **(known or {}),
        "licence": model.licence,
        "licence_url": model.licence_url,
        "aliases": list(model.aliases),
        "variants": [
            {
                "repository": variant.repository,
                "quantization": variant.quantization,
                "bytes": variant.expected_size,
                "files": [file.path for file in variant.files],
                "fit": fit and with_serve_flags(fit).as_json(),
            }
            for variant, fit in found.variants
        ],
    }
