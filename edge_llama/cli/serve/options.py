"""The flags of `edge-llama serve` that no other command has."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from edge_llama.cli.keys.options import StateDir
from edge_llama.cli.option_group import OptionGroup
from edge_llama.cli.options import AllowURL
from edge_llama.settings.engine import CHOOSE_ALL
from edge_llama.settings.server import ContextOverflow, Limits, ServerSettings

API_KEY_VARIABLE = "EDGE_LLAMA_API_KEY"

_SERVER = ServerSettings()
_LIMITS = Limits()


class ModelSet(str, Enum):
    """Models that are served without being named one by one."""

    INSTALLED = "installed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsOptions(OptionGroup):
    """Which models are served, and under which names."""

    PANEL = "Models"

    model_set: Annotated[
        ModelSet | None,
        typer.Option("--models", help="Serve all installed models besides those that are named."),
    ] = None
    alias: Annotated[
        list[str],
        typer.Option(
            "--alias",
            metavar="[MODEL=]NAME",
            help="One more name for a model; which one must be told when there are several. "
            "May be repeated.",
        ),
    ] = field(default_factory=list)
    keep_alive: Annotated[
        str,
        typer.Option(
            "--keep-alive",
            metavar="DURATION",
            help="How long a model stays loaded after its last use: seconds, 30s, 10m, 1h; "
            "0 unloads it at once, -1 never.",
        ),
    ] = "10m"
    allow_url: AllowURL = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions(OptionGroup):
    """Where the server is, and how it ends."""

    PANEL = "Server"

    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = _SERVER.host
    port: Annotated[
        int, typer.Option("--port", help="Port to listen on; 0 picks a free one and prints it.")
    ] = _SERVER.port
    drain_timeout: Annotated[
        float,
        typer.Option(
            "--drain-timeout",
            metavar="SECONDS",
            help="How long running requests may go on after the first signal to end.",
        ),
    ] = _SERVER.drain_timeout
    exit_with_parent: Annotated[
        bool,
        typer.Option("--exit-with-parent", help="End when the program that started this one ends."),
    ] = _SERVER.exit_with_parent


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityOptions(OptionGroup):
    """Who may use the server, and what is seen of it."""

    PANEL = "Security"

    api_key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            metavar="KEY",
            envvar=API_KEY_VARIABLE,
            help="When set, requests need it as a Bearer token.",
        ),
    ] = _SERVER.api_key
    api_keys: Annotated[
        Path | None,
        typer.Option(
            "--api-key-file",
            metavar="FILE",
            help="A file of hashed API keys, one for each user, as `edge-llama api-key` writes it.",
        ),
    ] = None
    insecure_no_key: Annotated[
        bool,
        typer.Option("--insecure-no-key", help="Let everyone in who can reach --host."),
    ] = _SERVER.insecure_no_key
    allowed_hosts: Annotated[
        list[str],
        typer.Option(
            "--allowed-host",
            metavar="NAME",
            help="A name under which the server may be asked, besides localhost and all addresses; "
            "'*' allows any. May be repeated.",
        ),
    ] = field(default_factory=lambda: [*_SERVER.allowed_hosts])
    cors_origins: Annotated[
        list[str],
        typer.Option(
            "--cors-origin",
            metavar="ORIGIN",
            help="Web pages of this origin may use the server from a browser, such as "
            "https://app.example.org; '*' is all. May be repeated.",
        ),
    ] = field(default_factory=lambda: [*_SERVER.cors_origins])
    share_prefixes: Annotated[
        bool,
        typer.Option(
            "--share-prefixes",
            help="Let different API keys share prompts that begin alike; each then can tell by "
            "the time to the first token what others have asked.",
        ),
    ] = _SERVER.share_prefixes
    log_prompts: Annotated[
        bool,
        typer.Option(
            "--log-prompts",
            help="Write every request to the log, with all that users have said in it.",
        ),
    ] = _SERVER.log_prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOptions(OptionGroup):
    """The keys of `edge-llama keys`, and what they use."""

    PANEL = SecurityOptions.PANEL

    state_dir: StateDir = None
    prices: Annotated[
        Path | None,
        typer.Option(
            "--prices",
            metavar="FILE",
            help="A TOML file of what models cost, for budgets of keys.",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions(OptionGroup):
    """What requests may ask for, and how many there may be."""

    PANEL = "Requests"

    parallel: Annotated[
        int, typer.Option("--parallel", help="Requests that run at the same time; others wait.")
    ] = CHOOSE_ALL.parallel
    max_queue: Annotated[
        int,
        typer.Option(
            "--max-queue",
            metavar="REQUESTS",
            min=0,
            help="Requests of one API key that may wait; more are told when to come back.",
        ),
    ] = _LIMITS.max_requests - CHOOSE_ALL.parallel
    max_n: Annotated[int, typer.Option("--max-n", help="Most choices (n) of one request.")] = (
        _LIMITS.max_n
    )
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens",
            metavar="TOKENS",
            help="Most tokens of output of a request, whatever it asks for. Default: what fits.",
            show_default=False,
        ),
    ] = CHOOSE_ALL.max_tokens
    request_timeout: Annotated[
        float | None,
        typer.Option(
            "--request-timeout",
            metavar="SECONDS",
            help="End requests that take longer with an error. Default: never.",
            show_default=False,
        ),
    ] = CHOOSE_ALL.request_timeout
    context_overflow: Annotated[
        ContextOverflow,
        typer.Option(
            "--context-overflow",
            help="What becomes of conversations that are too long: they are refused, or lose their "
            "oldest turns.",
        ),
    ] = _SERVER.context_overflow
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Refuse requests that have a field which is not used, instead of naming it in "
            "the header X-Edge-Llama-Ignored.",
        ),
    ] = _SERVER.strict


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions(OptionGroup):
    """How the engine spends its steps."""

    PANEL = "Speed"

    batch_size: Annotated[int, typer.Option("--batch-size", help="Most tokens in one step.")] = (
        CHOOSE_ALL.batch_size
    )
    max_stall: Annotated[
        float | None,
        typer.Option(
            "--max-stall",
            metavar="SECONDS",
            help="How long a prompt that is being read may hold up running streams. Default: 0.5, "
            "or four tokens' time if that is longer.",
            show_default=False,
        ),
    ] = CHOOSE_ALL.max_stall
    tuned: Annotated[
        bool,
        typer.Option(
            "--tuned/--no-tuned",
            help="Run models as `edge-llama tune` found best, where it did. Other flags win.",
        ),
    ] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixOptions(OptionGroup):
    """What is kept in memory of prompts, and what the cache on disk begins with."""

    PANEL = "Prompt cache"

    cached_sequences: Annotated[
        int,
        typer.Option(
            "--cached-sequences",
            help="Finished requests that are kept for prompts that begin alike; 0 keeps none.",
        ),
    ] = CHOOSE_ALL.cached_sequences
    prefix: Annotated[
        Path | None,
        typer.Option(
            "--prefix",
            metavar="FILE",
            help="What `edge-llama warm --export` wrote; ignored if it is of another model.",
            show_default=False,
        ),
    ] = None
