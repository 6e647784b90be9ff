"""The arguments and flags that several commands share."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from edge_llama.cli.completion import complete_installed, complete_model
from edge_llama.cli.option_group import OptionGroup, settings_of
from edge_llama.errors import SettingsError
from edge_llama.settings.engine import CHOOSE_ALL, KVLayout, KVType
from edge_llama.settings.prompts import DEFAULT_PROMPTS, PromptSettings
from edge_llama.units import parse_size


def parse_ctx_size(text: str) -> int | None:
    """`8192`; None for `auto`.

    Raises:
        SettingsError: it is neither.
    """
    if text.strip().lower() == "auto":
        return None
    try:
        return int(text)
    except ValueError:
        raise SettingsError(
            f"--ctx-size {text!r} is no number of tokens. Write 8192, or auto."
        ) from None


MAX_TEMPLATE = 1 << 20
"""Bytes of a chat template."""


class LogLevel(str, Enum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


MODEL_HELP = (
    "'demo' for the bundled demo model, a model of `edge-llama list --all`, the path of a .gguf "
    "file, or owner/repo:QUANT of huggingface.co."
)
Model = Annotated[
    str, typer.Argument(metavar="MODEL", help=MODEL_HELP, autocompletion=complete_model)
]
AllowURL = Annotated[
    bool,
    typer.Option("--allow-url", help="Allow addresses of other servers than huggingface.co."),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        help="Threads that generate. Default: what suits the CPUs that it may use.",
        show_default=False,
    ),
]
MemoryBudget = Annotated[
    int | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        parser=parse_size,
        help="Memory that a model may take: 6G, 6.5GiB, 512M. Default: a safe share of what is "
        "there.",
        show_default=False,
    ),
]
Installed = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A model that `edge-llama list` shows.",
        autocompletion=complete_installed,
    ),
]
AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Verbosity = Annotated[
    LogLevel,
    typer.Option("--log-level", help="What to log on stderr. 'debug' shows tracebacks too."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOptions(OptionGroup):
    """The memory that a model takes, and what is made of it."""

    PANEL = "Memory and context"

    memory: MemoryBudget = None
    ctx_size: Annotated[
        int | None,
        typer.Option(
            "--ctx-size",
            metavar="TOKENS|auto",
            parser=parse_ctx_size,
            help="Tokens of context: of the longest request, and of all that run together. "
            "Default: auto, what suits the model and the memory.",
            show_default=False,
        ),
    ] = CHOOSE_ALL.ctx_size
    kv_type: Annotated[
        KVType | None,
        typer.Option(
            "--kv-type",
            help="How the context is stored: q8_0 takes half the memory of f16, and is slower. "
            "Default: f16, unless memory is short or `edge-llama tune` found otherwise.",
            show_default=False,
        ),
    ] = CHOOSE_ALL.kv_type


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptOptions(OptionGroup):
    """How conversations are written."""

    PANEL = "Prompts"

    chat_template: Annotated[
        Path | None,
        typer.Option(
            "--chat-template",
            metavar="FILE",
            help="A Jinja file that takes the place of the model's own chat template.",
            show_default=False,
        ),
    ] = None
    date: Annotated[
        str,
        typer.Option(
            "--date",
            metavar="YYYY-MM-DD|today|fixed",
            help="The date that models are told. Default: today for templates that ask for it, "
            "as that of Llama 3.2 does; else fixed, as in Llama 3.1's own.",
            show_default=False,
        ),
    ] = DEFAULT_PROMPTS.date
    schema_hint: Annotated[
        bool,
        typer.Option(
            "--schema-hint/--no-schema-hint",
            help="Tell models the JSON Schema that an answer is held to, in the system message.",
        ),
    ] = DEFAULT_PROMPTS.schema_hint
    tools_prompt: Annotated[
        bool,
        typer.Option(
            "--tools-prompt",
            help="Show tools in the system message to models whose template shows none.",
        ),
    ] = DEFAULT_PROMPTS.tools_prompt

    def settings(self) -> PromptSettings:
        """
        Raises:
            SettingsError: the date is none, or the file cannot be read.
        """
        template = "" if self.chat_template is None else _template(self.chat_template)
        return settings_of(PromptSettings, self, chat_template=template)


def _template(path: Path) -> str:
    from edge_llama.files.regular import read_regular

    try:
        text = read_regular(path, MAX_TEMPLATE, follow=True).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"`chat_template` {path} cannot be read: {error}.") from None
    if not text.strip():
        raise SettingsError(f"`chat_template` {path} is empty. Name a Jinja file.")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutOptions(OptionGroup):
    """How requests share the context: for commands that have several."""

    PANEL = MemoryOptions.PANEL

    kv_layout: Annotated[
        KVLayout | None,
        typer.Option(
            "--kv-layout",
            help="unified: all running requests share the context, and prompts that begin alike "
            "the memory of their beginning. streams: each of --parallel has a context of its own; "
            "many at once are faster, for more memory. Default: unified, unless `edge-llama tune` "
            "found otherwise.",
            show_default=False,
        ),
    ] = CHOOSE_ALL.kv_layout


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadOptions(OptionGroup):
    """The threads of the engine."""

    PANEL = "Speed"

    threads: Threads = CHOOSE_ALL.threads
    threads_batch: Annotated[
        int | None,
        typer.Option(
            "--threads-batch",
            help="Threads that read the prompt. Default: as --threads, else what suits the CPUs.",
            show_default=False,
        ),
    ] = CHOOSE_ALL.threads_batch


def configure_logging(level: LogLevel) -> None:
    """Log to stderr from `level` on, in the engine process too."""
    os.environ["EDGE_LLAMA_LOG_LEVEL"] = level.value
    logging.basicConfig(
        level=level.value.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
