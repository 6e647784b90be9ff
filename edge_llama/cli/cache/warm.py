"""`edge-llama warm`: read a system message ahead of time."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_llama.cli.cache.disk_cache import CacheOptions, open_folder
from edge_llama.cli.option_group import settings_of, takes_groups
from edge_llama.cli.options import (
    AllowURL,
    LayoutOptions,
    LogLevel,
    MemoryOptions,
    Model,
    ThreadOptions,
    Verbosity,
    configure_logging,
)
from edge_llama.errors import SettingsError, WeightsError
from edge_llama.settings.engine import CacheSettings, EngineSettings

if TYPE_CHECKING:
    from edge_llama.chat.tools.tool import Tool
    from edge_llama.engine.client.async_engine import AsyncEngine
    from edge_llama.engine.protocol.stats import DiskStats

POLL_SECONDS = 0.05
"""Between two looks whether all is written."""

LARGEST_EXPORT = 1 << 40


System = Annotated[
    Path, typer.Option("--system", metavar="FILE", help="A text file: the system message.")
]
Tools = Annotated[
    Path | None,
    typer.Option(
        "--tools",
        metavar="FILE",
        help="A JSON file: the list of tools, as requests have it.",
        show_default=False,
    ),
]
Export = Annotated[
    Path | None,
    typer.Option(
        "--export",
        metavar="FILE",
        help="Write a file for `serve --prefix` instead, to be shipped with a program.",
        show_default=False,
    ),
]


@takes_groups
def warm(
    model: Model,
    system: System,
    tools: Tools = None,
    export: Export = None,
    allow_url: AllowURL = False,
    log_level: Verbosity = LogLevel.WARNING,
    *,
    kept: CacheOptions,
    memory: MemoryOptions,
    layout: LayoutOptions,
    threads: ThreadOptions,
) -> None:
    """Read a system message and tools ahead of time.

    Conversations that begin with them then start at once: here, or with --export wherever the same
    model runs in the same way.
    """
    import asyncio

    from edge_llama.cli.models.plan import plan_here

    configure_logging(log_level)
    text, definitions = _read(system), _tools(tools)
    with _place(export, kept) as place:
        settings = settings_of(EngineSettings, memory, layout, threads, disk_cache=place)
        planned = plan_here(model, settings, memory.memory, allow_url=allow_url)
        n_tokens, disk = asyncio.run(_warm(planned.settings, text, definitions))
        if export is not None:
            sys.stdout.write(_exported(n_tokens, export, _export(place, export)))
        else:
            sys.stdout.write(_kept(n_tokens, disk))


def _exported(n_tokens: int, path: Path, size: int) -> str:
    from edge_llama.units import format_size

    return f"{n_tokens:,} tokens are in {path} ({format_size(size)}).\n"


def _kept(n_tokens: int, disk: DiskStats) -> str:
    from edge_llama.units import format_size

    if not disk.blocks_written:
        return f"{n_tokens:,} tokens were kept already.\n"
    return f"{n_tokens:,} tokens are kept ({format_size(disk.bytes_written)} more).\n"


async def _warm(settings: EngineSettings, system: str, tools: list[Tool]) -> tuple[int, DiskStats]:
    """Compute the prefix and have it written; how many tokens it has."""
    from edge_llama.chat.model import ChatModel
    from edge_llama.engine.blocks.name import PUBLIC
    from edge_llama.engine.client.async_engine import AsyncEngine
    from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest

    async with AsyncEngine(settings) as engine:
        prompt = await ChatModel(engine).prefix(system, tools)
        options = GenerationOptions(max_tokens=1, cache_domain=PUBLIC)
        request = GenerationRequest(prompt=prompt, options=options)
        async with await engine.submit(request) as generation:
            async for _ in generation:
                pass
        return generation.prompt_tokens, await _written(engine)


async def _written(engine: AsyncEngine) -> DiskStats:
    """What was written, when that is all."""
    import asyncio

    while True:
        disk = (await engine.stats()).disk
        if disk is None or disk.failed:
            raise WeightsError("What was read could not be written; the log says why.")
        if not disk.unsaved:
            return disk
        await asyncio.sleep(POLL_SECONDS)


@contextmanager
def _place(export: Path | None, kept: CacheOptions) -> Iterator[CacheSettings]:
    """Where to write: the user's cache, or a folder of its own for what is exported."""
    if export is None:
        settings = kept.settings()
        if settings is None:
            raise SettingsError("--cache-size 0 leaves nowhere to keep it. Add --export FILE.")
        yield settings
        return
    with tempfile.TemporaryDirectory(dir=export.absolute().parent, prefix=".warm-") as temporary:
        yield CacheSettings(folder=temporary, max_bytes=LARGEST_EXPORT)


def _export(place: CacheSettings, path: Path) -> int:
    """Pack what was written; returns bytes."""
    from edge_llama.engine.blocks.prefix_file import write_prefix

    write_prefix(open_folder(Path(place.folder), place.max_bytes), path)
    return path.stat().st_size


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from None


def _tools(path: Path | None) -> list[Tool]:
    """The tools of a JSON file, as the API has them."""
    from edge_llama.chat.tools.tool import Tool

    if path is None:
        return []
    try:
        definitions: Any = json.loads(_read(path))
    except ValueError as error:
        raise SettingsError(f"{path} is not JSON: {error}.") from None
    if not isinstance(definitions, list) or not all(map(_is_tool, definitions)):
        raise SettingsError(
            f"{path} is not a list of tools, each with `type` and `function`, which has a `name`."
        )
    return [Tool(definition) for definition in definitions]


def _is_tool(definition: Any) -> bool:
    function = definition.get("function") if isinstance(definition, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)
