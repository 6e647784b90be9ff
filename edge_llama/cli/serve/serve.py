"""`edge-llama serve`: models behind OpenAI's chat API."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_llama.cli.cache.disk_cache import CacheDir, CacheSize, disk_cache
from edge_llama.cli.completion import complete_model
from edge_llama.cli.options import (
    MODEL_HELP,
    AllowURL,
    CtxSize,
    KVCacheLayout,
    KVCacheType,
    LogLevel,
    MemoryBudget,
    Threads,
    ThreadsBatch,
    Verbosity,
    configure_logging,
)
from edge_llama.cli.serve.aliases import assign_aliases
from edge_llama.cli.serve.guards import (
    AllowedHosts,
    ApiKeyFile,
    CorsOrigins,
    DrainTimeout,
    ExitWithParent,
    InsecureNoKey,
    LogPrompts,
    MaxQueue,
    MaxTokens,
    RequestTimeout,
)
from edge_llama.cli.serve.keep_alive import parse_keep_alive
from edge_llama.cli.terminal.printable import in_one_line, printable
from edge_llama.errors import ModelFileError, SettingsError, WeightsError
from edge_llama.planning.budget import memory_budget
from edge_llama.planning.named import NamedModel
from edge_llama.planning.obtain import Obtained, from_store, obtain
from edge_llama.planning.planned import Planned, plan_model
from edge_llama.weights.demo import DEMO, DEMO_NOTE

if TYPE_CHECKING:
    from edge_llama.pool.registry import ServedModel

API_KEY_VARIABLE = "EDGE_LLAMA_API_KEY"


class ModelSet(str, Enum):
    """Models that are served without being named one by one."""

    INSTALLED = "installed"


class OverflowChoice(str, Enum):
    """What becomes of conversations that are too long."""

    REFUSE = "refuse"
    TRUNCATE_OLDEST = "truncate_oldest"


def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help=f"{MODEL_HELP} What is not on this machine is downloaded. The first is loaded at "
            "the start, the others when a request asks for them.",
            autocompletion=complete_model,
            show_default=False,
        ),
    ] = None,
    model_set: Annotated[
        ModelSet | None,
        typer.Option("--models", help="Serve all installed models besides those that are named."),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", help="Port to listen on; 0 picks a free one and prints it.")
    ] = 8000,
    memory: MemoryBudget = None,
    ctx_size: CtxSize = None,
    kv_type: KVCacheType = None,
    kv_layout: KVCacheLayout = None,
    parallel: Annotated[
        int, typer.Option("--parallel", help="Requests that run at the same time; others wait.")
    ] = 4,
    max_n: Annotated[int, typer.Option("--max-n", help="Most choices (n) of one request.")] = 8,
    threads: Threads = None,
    threads_batch: ThreadsBatch = None,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Most tokens in one step.")] = 512,
    cached_sequences: Annotated[
        int,
        typer.Option(
            "--cached-sequences",
            help="Finished requests that are kept for prompts that begin alike; 0 keeps none.",
        ),
    ] = 32,
    cache_dir: CacheDir = None,
    cache_size: CacheSize = None,
    prefix: Annotated[
        Path | None,
        typer.Option(
            "--prefix",
            metavar="FILE",
            help="What `edge-llama warm --export` wrote; ignored if it is of another model.",
            show_default=False,
        ),
    ] = None,
    max_stall: Annotated[
        float | None,
        typer.Option(
            "--max-stall",
            metavar="SECONDS",
            help="How long a prompt that is being read may hold up running streams. Default: 0.5, "
            "or four tokens' time if that is longer.",
            show_default=False,
        ),
    ] = None,
    tuned: Annotated[
        bool,
        typer.Option(
            "--tuned/--no-tuned",
            help="Run models as `edge-llama tune` found best, where it did. Other flags win.",
        ),
    ] = True,
    alias: Annotated[
        list[str] | None,
        typer.Option(
            "--alias",
            metavar="[MODEL=]NAME",
            help="One more name for a model; which one must be told when there are several. "
            "May be repeated.",
        ),
    ] = None,
    keep_alive: Annotated[
        str,
        typer.Option(
            "--keep-alive",
            metavar="DURATION",
            help="How long a model stays loaded after its last use: seconds, 30s, 10m, 1h; "
            "0 unloads it at once, -1 never.",
        ),
    ] = "10m",
    allow_url: AllowURL = False,
    api_key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            metavar="KEY",
            envvar=API_KEY_VARIABLE,
            help="When set, requests need it as a Bearer token.",
        ),
    ] = None,
    share_prefixes: Annotated[
        bool,
        typer.Option(
            "--share-prefixes",
            help="Let different API keys share prompts that begin alike; each then can tell by "
            "the time to the first token what others have asked.",
        ),
    ] = False,
    context_overflow: Annotated[
        OverflowChoice,
        typer.Option(
            "--context-overflow",
            help="What becomes of conversations that are too long: they are refused, or lose their "
            "oldest turns.",
        ),
    ] = OverflowChoice.REFUSE,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Refuse requests that have a field which is not used, instead of naming it in "
            "the header X-Edge-Llama-Ignored.",
        ),
    ] = False,
    api_key_file: ApiKeyFile = None,
    insecure_no_key: InsecureNoKey = False,
    allowed_host: AllowedHosts = None,
    cors_origin: CorsOrigins = None,
    max_queue: MaxQueue = 128,
    max_tokens: MaxTokens = None,
    request_timeout: RequestTimeout = None,
    drain_timeout: DrainTimeout = 7.0,
    exit_with_parent: ExitWithParent = False,
    log_prompts: LogPrompts = False,
    log_level: Verbosity = LogLevel.WARNING,
) -> None:
    """Serve models over HTTP with OpenAI's chat API."""
    configure_logging(log_level)
    _check_environment(api_key)
    keep_alive_seconds = parse_keep_alive(keep_alive)
    budget = memory_budget(memory)

    from edge_llama.api.gate.key_file import KeyFile
    from edge_llama.settings.engine import EngineSettings
    from edge_llama.settings.pool import PoolSettings
    from edge_llama.settings.server import Limits, ServerSettings

    kept = disk_cache(cache_dir, cache_size, prefix)

    def planned(model: Obtained) -> Planned:
        engine_settings = EngineSettings(
            model=str(model.path),
            ctx_size=ctx_size,
            parallel=parallel,
            threads=threads,
            threads_batch=threads_batch,
            batch_size=batch_size,
            max_stall=max_stall,
            kv_type=kv_type,
            kv_layout=kv_layout,
            cached_sequences=cached_sequences,
            max_tokens=max_tokens,
            request_timeout=request_timeout,
            disk_cache=kept,
        )
        return plan_model(model, engine_settings, budget, use_tuned=tuned)

    if log_prompts:
        typer.echo(
            "edge-llama: --log-prompts is on: the log shows everything that users say.", err=True
        )
    settings = ServerSettings(
        host=host,
        port=port,
        api_key=api_key,
        api_keys=() if api_key_file is None else KeyFile(api_key_file),
        insecure_no_key=insecure_no_key,
        share_prefixes=share_prefixes,
        context_overflow=context_overflow.value,
        strict=strict,
        allowed_hosts=tuple(allowed_host or ()),
        cors_origins=tuple(cors_origin or ()),
        drain_timeout=drain_timeout,
        exit_with_parent=exit_with_parent,
        log_prompts=log_prompts,
        limits=Limits(max_requests=parallel + max_queue, max_n=max_n),
    )
    found = _obtain(models or ([] if model_set else [DEMO]), budget, allow_url=allow_url)
    plans = {model: planned(model) for model in found}
    plans |= _plan_set(model_set, planned)
    if not plans:
        raise SettingsError("None of the installed models can be run here.")

    from edge_llama.api.app import create_app
    from edge_llama.api.http import server
    from edge_llama.cli.serve.startup import Startup
    from edge_llama.pool.registry import ModelRegistry

    named = [model.name for model in plans]
    served = [
        _served(model, plans[model], aliases)
        for model, aliases in zip(plans, assign_aliases(named, alias or ()), strict=True)
    ]
    registry = ModelRegistry(served, PoolSettings(memory=budget, keep_alive=keep_alive_seconds))
    notes = [note for each in plans.values() for note in each.why]
    startup = Startup(
        partial(registry.pool.use, served[0].pooled),
        lambda url: announce(
            url, named, notes, guarded=settings.guarded, encoder=bool(served[0].encoder)
        ),
    )
    if sys.stderr.isatty():
        typer.echo(f"Loading {printable(named[0].id)} …", err=True)
    server.serve(create_app(registry, settings), settings, startup.watch)
    startup.raise_failure()


def _obtain(names: Sequence[str], budget: int, *, allow_url: bool) -> list[Obtained]:
    """The files of the models of these names, each once."""
    from edge_llama.cli.models.pull import stopping_calmly
    from edge_llama.cli.terminal.progress import ProgressMode, display_for

    with stopping_calmly(), display_for(ProgressMode.AUTO, announces=False) as display:
        found: dict[Path, Obtained] = {}
        for name in names:
            model = obtain(name, budget=budget, watcher=display, allow_url=allow_url)
            same = found.get(model.path)
            found[model.path] = model if same is None else same.also(model)
        return list(found.values())


def _plan_set(
    model_set: ModelSet | None, planned: Callable[[Obtained], Planned]
) -> dict[Obtained, Planned]:
    """The models of a set that can be run here; of the others it is told why not."""
    if model_set is None:
        return {}
    from edge_llama.weights.store.store import default_store

    installed = default_store().installed()
    if not installed:
        raise SettingsError("No model is installed. Install one with: edge-llama pull MODEL")
    plans: dict[Obtained, Planned] = {}

    def add(model: Obtained) -> None:
        try:
            plans[model] = planned(model)
        except (ModelFileError, WeightsError) as error:
            name, fault = printable(model.name.id), in_one_line(error)
            typer.echo(f"edge-llama: {name} is not served: {fault}", err=True)

    for model in installed:
        add(from_store(model.id, model))
    return plans


def _served(model: Obtained, planned: Planned, aliases: tuple[str, ...]) -> ServedModel:
    from edge_llama.engine.client.async_engine import AsyncEngine
    from edge_llama.pool.pooled_model import PooledModel
    from edge_llama.pool.registry import ServedModel

    memory = 0 if planned.memory is None else planned.memory.total
    return ServedModel(
        model.name.id,
        PooledModel(model.name.id, partial(AsyncEngine, planned.settings), memory=memory),
        aliases=aliases,
        planned_context=planned.settings.ctx_size,
        file_quantization=None if planned.memory is None else planned.memory.shape.quantization,
        file_is_encoder=None if planned.memory is None else planned.memory.shape.encoder,
    )


def _check_environment(api_key: str | None) -> None:
    # An empty variable is none at all to click, and the server would be open to everyone.
    if api_key is None and API_KEY_VARIABLE in os.environ:
        raise SettingsError(f"{API_KEY_VARIABLE} is empty. Set a key, or unset the variable.")


def announce(
    url: str,
    models: Sequence[NamedModel],
    notes: Sequence[str] = (),
    *,
    guarded: bool,
    encoder: bool = False,
) -> None:
    """Say on stdout where the server is, what there is to note, and what to try.

    Args:
        guarded: requests need a key.
        encoder: the first of the models only embeds texts.
    """
    first, *others = models
    typer.secho(f"edge-llama is ready: {url}", bold=True)
    for note in notes:
        typer.echo(note)
    if others:
        ids = ", ".join(model.id for model in others)
        typer.echo(printable(f"{first.id} is loaded; loaded when they are asked for: {ids}"))
    if first.asked == DEMO:
        typer.echo(DEMO_NOTE)
    key = ' -H "Authorization: Bearer $' + API_KEY_VARIABLE + '"' if guarded else ""
    if encoder:
        path, field = "embeddings", '"input": "Hello!"'
    else:
        path, field = "chat/completions", '"messages": [{"role": "user", "content": "Hello!"}]'
    typer.echo(
        f"""
Try it:
  curl {url}/v1/{path}{key} -H "Content-Type: application/json" \\
    -d '{{"model": "{printable(first.id)}", {field}}}'"""
    )
    if not encoder:
        model = "" if first.asked == DEMO else f" {printable(shlex.quote(first.asked))}"
        typer.echo(f"or talk to it in a browser:\n  {url}/")
        typer.echo(f"or in another terminal:\n  {_program()} chat{model}")
    typer.echo("Ctrl-C stops the server.")


def _program() -> str:
    """How this program is called from the current folder."""
    if shutil.which("edge-llama"):
        return "edge-llama"
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    return f"{shlex.quote(str(python))} -m edge_llama"
