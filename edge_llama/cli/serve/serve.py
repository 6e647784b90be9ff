"""`edge-llama serve`: models behind OpenAI's chat API."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from edge_llama.cli.cache.disk_cache import CacheOptions
from edge_llama.cli.completion import complete_model
from edge_llama.cli.option_group import settings_of, takes_groups
from edge_llama.cli.options import (
    MODEL_HELP,
    LayoutOptions,
    LogLevel,
    MemoryOptions,
    PromptOptions,
    ThreadOptions,
    Verbosity,
    configure_logging,
)
from edge_llama.cli.serve.accounts import open_accounts
from edge_llama.cli.serve.announcement import announce
from edge_llama.cli.serve.keep_alive import parse_keep_alive
from edge_llama.cli.serve.options import (
    API_KEY_VARIABLE,
    AccountOptions,
    ModelsOptions,
    PrefixOptions,
    RequestOptions,
    SecurityOptions,
    ServerOptions,
    StepOptions,
)
from edge_llama.cli.terminal.printable import printable
from edge_llama.errors import SettingsError
from edge_llama.planning.budget import memory_budget
from edge_llama.settings.engine import EngineSettings
from edge_llama.settings.pool import PoolSettings
from edge_llama.settings.server import Limits, ServerSettings
from edge_llama.weights.demo import DEMO

if TYPE_CHECKING:
    from edge_llama.accounts.accounts import Accounts
    from edge_llama.planning.obtain import Obtained
    from edge_llama.planning.planned import Planned
    from edge_llama.pool.registry import ModelRegistry

Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL",
        help=f"{MODEL_HELP} What is not on this machine is downloaded. The first is loaded at "
        "the start, the others when a request asks for them.",
        autocompletion=complete_model,
        show_default=False,
    ),
]


@takes_groups
def serve(
    models: Models = None,
    *,
    server: ServerOptions,
    served: ModelsOptions,
    security: SecurityOptions,
    counted: AccountOptions,
    requests: RequestOptions,
    prompts: PromptOptions,
    memory: MemoryOptions,
    layout: LayoutOptions,
    threads: ThreadOptions,
    steps: StepOptions,
    kept: CacheOptions,
    prefixes: PrefixOptions,
    log_level: Verbosity = LogLevel.WARNING,
) -> None:
    """Serve models over HTTP with OpenAI's chat API."""
    from edge_llama.cli.serve.models import obtain_all, plan_installed, served_models
    from edge_llama.planning.planned import plan_model
    from edge_llama.pool.registry import ModelRegistry

    configure_logging(log_level)
    keep_alive = parse_keep_alive(served.keep_alive)
    written = prompts.settings()
    budget = memory_budget(memory.memory)
    engine = settings_of(
        EngineSettings,
        *(requests, memory, layout, threads, steps, prefixes),
        disk_cache=kept.settings(prefixes.prefix),
    )
    accounts = open_accounts(counted)
    settings = _server_settings(server, security, requests, accounts)
    plan = partial(plan_model, settings=engine, budget=budget, use_tuned=steps.tuned)
    names = models or ([] if served.model_set else [DEMO])
    found = obtain_all(names, budget, allow_url=served.allow_url)
    plans = {model: plan(model) for model in found}
    if served.model_set:
        plans |= plan_installed(plan)
    if not plans:
        raise SettingsError("None of the installed models can be run here.")
    pool = PoolSettings(memory=budget, keep_alive=keep_alive)
    registry = ModelRegistry(served_models(plans, served.alias, written), pool)
    _run(plans, registry, settings, accounts)


def _server_settings(
    server: ServerOptions,
    security: SecurityOptions,
    requests: RequestOptions,
    accounts: Accounts | None,
) -> ServerSettings:
    from edge_llama.api.gate.key_file import KeyFile

    # An empty variable is none at all to click, and the server would be open to everyone.
    if security.api_key is None and API_KEY_VARIABLE in os.environ:
        raise SettingsError(f"{API_KEY_VARIABLE} is empty. Set a key, or unset the variable.")
    if security.log_prompts:
        typer.echo(
            "edge-llama: --log-prompts is on: the log shows everything that users say.", err=True
        )
    most = requests.parallel + requests.max_queue
    return settings_of(
        ServerSettings,
        *(server, security, requests),
        accounts=accounts is not None and accounts.guards,
        api_keys=() if security.api_keys is None else KeyFile(security.api_keys),
        limits=settings_of(Limits, requests, max_requests=most),
    )


def _run(
    plans: Mapping[Obtained, Planned],
    registry: ModelRegistry,
    settings: ServerSettings,
    accounts: Accounts | None,
) -> None:
    """Serve until a signal ends it."""
    from edge_llama.api.app import create_app
    from edge_llama.api.http import server
    from edge_llama.cli.serve.startup import Startup

    served = [*registry]
    named = [model.name for model in plans]
    notes = [note for planned in plans.values() for note in planned.why]

    def tell(url: str) -> None:
        encoder = bool(served[0].encoder)  # of some models it is known once they are loaded
        announce(url, named, notes, guarded=settings.guarded, encoder=encoder)

    startup = Startup(partial(registry.pool.use, served[0].pooled), tell)
    if sys.stderr.isatty():
        typer.echo(f"Loading {printable(named[0].id)} …", err=True)
    server.serve(create_app(registry, settings, accounts), settings, startup.watch)
    startup.raise_failure()
