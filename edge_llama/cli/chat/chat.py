"""`edge-llama chat`: talk to a model in the terminal, without a server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from edge_llama.cli.cache.disk_cache import CacheDir, CacheSize, disk_cache
from edge_llama.cli.models.pull import stopping_calmly
from edge_llama.cli.options import (
    AllowURL,
    CtxSize,
    KVCacheType,
    LogLevel,
    MemoryBudget,
    Model,
    Threads,
    ThreadsBatch,
    Verbosity,
    configure_logging,
)
from edge_llama.cli.terminal.progress import ProgressMode, display_for
from edge_llama.planning.budget import memory_budget
from edge_llama.planning.obtain import obtain
from edge_llama.planning.planned import plan_model
from edge_llama.weights.demo import DEMO, DEMO_NOTE

if TYPE_CHECKING:
    from edge_llama.engine.protocol.model_info import ModelInfo


def chat(
    model: Model = DEMO,
    system: Annotated[
        str, typer.Option("--system", metavar="TEXT", help="The system message.")
    ] = "",
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature",
            min=0,
            max=2,
            help="0 always takes the likeliest token. Default: 0.6.",
            show_default=False,
        ),
    ] = None,
    memory: MemoryBudget = None,
    ctx_size: CtxSize = None,
    kv_type: KVCacheType = None,
    threads: Threads = None,
    threads_batch: ThreadsBatch = None,
    cache_dir: CacheDir = None,
    cache_size: CacheSize = None,
    allow_url: AllowURL = False,
    log_level: Verbosity = LogLevel.ERROR,
) -> None:
    """Talk to a model in this terminal.

    With piped input, each line is one message and only the answers are printed.
    """
    configure_logging(log_level)
    budget = memory_budget(memory)
    with stopping_calmly(), display_for(ProgressMode.AUTO, announces=False) as display:
        found = obtain(model, budget=budget, watcher=display, allow_url=allow_url)

    from edge_llama.chat.model import ChatModel
    from edge_llama.cli.chat.session import ChatSession
    from edge_llama.cli.terminal.interrupt import InterruptibleLoop
    from edge_llama.cli.terminal.screen import Screen
    from edge_llama.engine.client.async_engine import AsyncEngine
    from edge_llama.engine.protocol.sampling_params import SamplingParams
    from edge_llama.settings.engine import EngineSettings

    sampling = SamplingParams() if temperature is None else SamplingParams(temperature=temperature)
    settings = EngineSettings(
        model=str(found.path),
        ctx_size=ctx_size,
        parallel=1,
        threads=threads,
        threads_batch=threads_batch,
        kv_type=kv_type,
        disk_cache=disk_cache(cache_dir, cache_size),
    )
    planned = plan_model(found, settings, budget)
    screen = Screen(interactive=sys.stdin.isatty() and sys.stdout.isatty())
    engine = AsyncEngine(planned.settings)
    chat_model = ChatModel(engine)
    with InterruptibleLoop() as loop:
        try:
            with screen.busy(f"loading {found.name.id}"):
                loop.run(engine.start())
                info = loop.run(chat_model.ready())
            screen.note(DEMO_NOTE if model == DEMO else _describe(info))
            if planned.tuned is not None:
                screen.note(str(planned.tuned))
            screen.note("/help lists the commands, Ctrl-D leaves.")
            ChatSession(
                chat_model,
                loop,
                screen,
                name=found.name.id,
                read=_line_reader(screen.interactive),
                system=system,
                sampling=sampling,
            ).run()
        finally:
            loop.run(engine.stop())


def _line_reader(interactive: bool) -> Callable[[str], str]:
    if not interactive:
        return lambda prompt: input()
    with suppress(ImportError):  # Windows has none: its console edits lines by itself
        import readline  # noqa: F401  gives input() editing and history
    return input


def _describe(info: ModelInfo) -> str:
    return f"{info.name} · {info.description} · {info.n_ctx} tokens of context"
