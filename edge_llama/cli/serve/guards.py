"""The flags of `edge-llama serve` that guard it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ApiKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file",
        metavar="FILE",
        help="A file of hashed API keys, one for each user, as `edge-llama api-key` writes it.",
    ),
]
InsecureNoKey = Annotated[
    bool,
    typer.Option("--insecure-no-key", help="Let everyone in who can reach --host."),
]
AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-host",
        metavar="NAME",
        help="A name under which the server may be asked, besides localhost and all addresses; "
        "'*' allows any. May be repeated.",
    ),
]
CorsOrigins = Annotated[
    list[str] | None,
    typer.Option(
        "--cors-origin",
        metavar="ORIGIN",
        help="Web pages of this origin may use the server from a browser, such as "
        "https://app.example.org; '*' is all. May be repeated.",
    ),
]
MaxQueue = Annotated[
    int,
    typer.Option(
        "--max-queue",
        metavar="REQUESTS",
        min=0,
        help="Requests of one API key that may wait; more are told when to come back.",
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        metavar="TOKENS",
        help="Most tokens of output of a request, whatever it asks for. Default: what fits.",
        show_default=False,
    ),
]
RequestTimeout = Annotated[
    float | None,
    typer.Option(
        "--request-timeout",
        metavar="SECONDS",
        help="End requests that take longer with an error. Default: never.",
        show_default=False,
    ),
]
LogPrompts = Annotated[
    bool,
    typer.Option(
        "--log-prompts",
        help="Write every request to the log, with all that users have said in it.",
    ),
]
DrainTimeout = Annotated[
    float,
    typer.Option(
        "--drain-timeout",
        metavar="SECONDS",
        help="How long running requests may go on after the first signal to end.",
    ),
]
ExitWithParent = Annotated[
    bool,
    typer.Option("--exit-with-parent", help="End when the program that started this one ends."),
]
