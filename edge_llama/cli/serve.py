"""`edge-llama serve`: a model behind OpenAI's chat API."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_llama.cli.options import (
    CtxSize,
    LogLevel,
    Model,
    Threads,
    ThreadsBatch,
    Verbosity,
    configure_logging,
)
from edge_llama.errors import SettingsError
from edge_llama.weights import DEMO, DEMO_NOTE, model_id, resolve_model

API_KEY_VARIABLE = "EDGE_LLAMA_API_KEY"


def serve(
    model: Model = DEMO,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", help="Port to listen on; 0 picks a free one and prints it.")
    ] = 8000,
    ctx_size: CtxSize = None,
    parallel: Annotated[
        int, typer.Option("--parallel", help="Requests that run at the same time; others wait.")
    ] = 4,
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
    alias: Annotated[
        list[str] | None,
        typer.Option(
            "--alias", metavar="NAME", help="One more name for the model. May be repeated."
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            metavar="KEY",
            envvar=API_KEY_VARIABLE,
            help="When set, requests need it as a Bearer token.",
        ),
    ] = None,
    log_level: Verbosity = LogLevel.WARNING,
) -> None:
    """Serve a model over HTTP with OpenAI's chat API."""
    configure_logging(log_level)
    _check_environment(api_key)
    path = resolve_model(model)

    from edge_llama.api import server
    from edge_llama.api.app import create_app
    from edge_llama.api.registry import ModelRegistry, ServedModel
    from edge_llama.chat.model import ChatModel
    from edge_llama.cli.startup import Startup
    from edge_llama.config import EngineSettings, ServerSettings
    from edge_llama.engine.client import AsyncEngine

    engine = AsyncEngine(
        EngineSettings(
            model=str(path),
            ctx_size=ctx_size,
            parallel=parallel,
            threads=threads,
            threads_batch=threads_batch,
            batch_size=batch_size,
            cached_sequences=cached_sequences,
        )
    )
    settings = ServerSettings(host=host, port=port, api_key=api_key)
    served = ServedModel(model_id(model), ChatModel(engine), aliases=tuple(alias or ()))
    startup = Startup(served.chat, lambda url: announce(url, model, guarded=api_key is not None))
    if sys.stderr.isatty():
        typer.echo(f"Loading {path.name} …", err=True)
    server.serve(create_app(ModelRegistry([served]), settings), settings, startup.watch)
    startup.raise_failure()


def _check_environment(api_key: str | None) -> None:
    # An empty variable is none at all to click, and the server would be open to everyone.
    if api_key is None and API_KEY_VARIABLE in os.environ:
        raise SettingsError(f"{API_KEY_VARIABLE} is empty. Set a key, or unset the variable.")


def announce(url: str, model: str, *, guarded: bool) -> None:
    """Say on stdout where the server is and what to try."""
    typer.secho(f"edge-llama is ready: {url}", bold=True)
    if model == DEMO:
        typer.echo(DEMO_NOTE)
    key = ' -H "Authorization: Bearer $' + API_KEY_VARIABLE + '"' if guarded else ""
    message = '{"role": "user", "content": "Hello!"}'
    chat = f"{_program()} chat" if model == DEMO else f"{_program()} chat {shlex.quote(model)}"
    typer.echo(
        f"""
Try it:
  curl {url}/v1/chat/completions{key} -H "Content-Type: application/json" \\
    -d '{{"model": "{model_id(model)}", "messages": [{message}]}}'
or talk to it in another terminal:
  {chat}
Ctrl-C stops the server."""
    )


def _program() -> str:
    """How this program is called from the current folder."""
    if shutil.which("edge-llama"):
        return "edge-llama"
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    return f"{shlex.quote(str(python))} -m edge_llama"
