"""`edge-llama chat`: talk to a model in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from edge_llama.cli.cache.disk_cache import CacheOptions
from edge_llama.cli.option_group import settings_of, takes_groups
from edge_llama.cli.options import (
    AllowURL,
    LogLevel,
    MemoryOptions,
    Model,
    ThreadOptions,
    Verbosity,
    configure_logging,
)
from edge_llama.settings.engine import EngineSettings
from edge_llama.weights.demo import DEMO, DEMO_NOTE

if TYPE_CHECKING:
    from edge_llama.engine.protocol.model_info import ModelInfo
    from edge_llama.engine.protocol.sampling_params import SamplingParams
    from edge_llama.planning.planned import Planned


@takes_groups
def chat(
    model: Model = DEMO,
    prompt: Annotated[
        str | None,
        typer.Argument(
            metavar="PROMPT",
            help="A message that is answered once. Piped input is appended to it.",
            show_default=False,
        ),
    ] = None,
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
    lines: Annotated[
        bool, typer.Option("--lines", help="Each line of piped input is a message of its own.")
    ] = False,
    allow_url: AllowURL = False,
    log_level: Verbosity = LogLevel.ERROR,
    *,
    memory: MemoryOptions,
    threads: ThreadOptions,
    kept: CacheOptions,
) -> None:
    """Talk to a model in this terminal.

    With PROMPT or piped input, the one answer is printed and nothing else.
    """
    from edge_llama.cli.chat.message_input import check_arguments, whole_message
    from edge_llama.cli.models.plan import plan_here
    from edge_llama.engine.protocol.sampling_params import SamplingParams

    configure_logging(log_level)
    check_arguments(model, prompt, lines=lines)
    settings = settings_of(EngineSettings, memory, threads, parallel=1, disk_cache=kept.settings())
    planned = plan_here(model, settings, memory.memory, allow_url=allow_url)
    sampling = SamplingParams() if temperature is None else SamplingParams(temperature=temperature)
    _talk(planned, system, sampling, whole_message(prompt, lines=lines))


def _talk(planned: Planned, system: str, sampling: SamplingParams, message: str | None) -> None:
    """Load the model, and answer the message, or hold a conversation."""
    from edge_llama.chat.model import ChatModel
    from edge_llama.cli.chat.message_input import line_reader
    from edge_llama.cli.chat.partner import OwnPartner
    from edge_llama.cli.chat.session import ChatSession
    from edge_llama.cli.terminal.interrupt import InterruptibleLoop
    from edge_llama.cli.terminal.screen import Screen
    from edge_llama.engine.client.async_engine import AsyncEngine

    screen = Screen(interactive=message is None and sys.stdin.isatty() and sys.stdout.isatty())
    engine = AsyncEngine(planned.settings)
    model = ChatModel(engine)
    name = planned.name.id
    with InterruptibleLoop() as loop:
        try:
            with screen.busy(f"loading {name}"):
                loop.run(engine.start())
                info = loop.run(model.ready())
            for note in _notes(planned, info):
                screen.note(note)
            session = ChatSession(
                OwnPartner(model),
                loop,
                screen,
                name=name,
                read=line_reader(screen.interactive),
                system=system,
                sampling=sampling,
            )
            session.run() if message is None else session.ask(message)
        finally:
            loop.run(engine.stop())


def _notes(planned: Planned, info: ModelInfo) -> Iterator[str]:
    yield DEMO_NOTE if planned.name.asked == DEMO else _describe(info)
    if planned.tuned is not None:
        yield str(planned.tuned)
    yield "/help lists the commands, Ctrl-D leaves."


def _describe(info: ModelInfo) -> str:
    return f"{info.name} · {info.description} · {info.n_ctx} tokens of context"
