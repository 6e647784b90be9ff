"""The `edge-llama` program: one module per command, which parses, calls and prints.

What is heavy to import is imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from edge_llama import __version__
from edge_llama.cli import bench, docs, tune
from edge_llama.cli.cache import cache, warm
from edge_llama.cli.chat import chat
from edge_llama.cli.command import ProgramCommand
from edge_llama.cli.doctor import doctor
from edge_llama.cli.flags import in_one_line
from edge_llama.cli.keys.keys import keys
from edge_llama.cli.models import import_, list_, path, pull, rm, show, verify
from edge_llama.cli.serve import api_key, serve
from edge_llama.cli.terminal.exit_codes import epilog, exit_code_of
from edge_llama.errors import EdgeLlamaError

app = typer.Typer(
    name="edge-llama",
    help="Llama 3.1 on a machine without a GPU.",
    epilog=epilog(),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS: dict[str, Callable[..., None]] = {
    "serve": serve.serve,
    "chat": chat.chat,
    "api-key": api_key.api_key,
    "pull": pull.pull,
    "list": list_.list_,
    "show": show.show,
    "rm": rm.rm,
    "verify": verify.verify,
    "import": import_.import_,
    "path": path.path,
    "cache": cache.cache,
    "warm": warm.warm,
    "bench": bench.bench,
    "tune": tune.tune,
    "doctor": doctor.doctor,
    "docs": docs.docs,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, cls=ProgramCommand)(_command)
app.add_typer(keys)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edge-llama {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Llama 3.1 on a machine without a GPU."""


def main() -> None:
    """Run the program; an expected error is one line on stderr and a code of `ExitCode`."""
    _open_closed_streams()
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        # Text that the terminal's encoding lacks is shown as a replacement, not as a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    _settle_home()
    try:
        app()
    except EdgeLlamaError as error:
        _fail(error)
    except OSError as error:  # such as a full disk below stdout
        _fail(EdgeLlamaError(str(error)))


def _open_closed_streams() -> None:
    """Put nothing in the place of standard streams that were closed before the start.

    POSIX gives the lowest free number: what is opened later, such as a socket, does not become
    what native code and child processes take for stderr.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def _settle_home() -> None:
    """Give a user who has no home folder, as many have in containers, the one of Docker's."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"


def _fail(error: EdgeLlamaError) -> NoReturn:
    logging.getLogger(__name__).debug("The error was raised here:", exc_info=error)
    sys.stderr.write(f"edge-llama: {in_one_line(error)}\n")
    sys.exit(exit_code_of(error))
