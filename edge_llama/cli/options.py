"""The arguments and flags that several commands share."""

from __future__ import annotations

import logging
import os
from enum import Enum
from typing import Annotated

import typer


class LogLevel(str, Enum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Model = Annotated[
    str,
    typer.Argument(help="'demo' for the bundled demo model, or the path of a .gguf file."),
]
CtxSize = Annotated[
    int | None,
    typer.Option(
        "--ctx-size",
        help="Tokens of context, shared by all running requests. "
        "Default: the model's own, at most 8192.",
        show_default=False,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        help="Threads that generate. Default: the CPUs this process may use.",
        show_default=False,
    ),
]
ThreadsBatch = Annotated[
    int | None,
    typer.Option(
        "--threads-batch",
        help="Threads that read the prompt. Default: as --threads.",
        show_default=False,
    ),
]
Verbosity = Annotated[
    LogLevel,
    typer.Option("--log-level", help="What to log on stderr. 'debug' shows tracebacks too."),
]


def configure_logging(level: LogLevel) -> None:
    """Log to stderr from `level` on, in the engine process too."""
    os.environ["EDGE_LLAMA_LOG_LEVEL"] = level.value
    logging.basicConfig(
        level=level.value.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
