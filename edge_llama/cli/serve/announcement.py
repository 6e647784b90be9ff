"""What `edge-llama serve` says when it is ready."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from edge_llama.cli.serve.options import API_KEY_VARIABLE
from edge_llama.cli.terminal.printable import printable
from edge_llama.planning.named import NamedModel
from edge_llama.weights.demo import DEMO, DEMO_NOTE


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
