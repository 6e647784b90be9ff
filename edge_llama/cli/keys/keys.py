"""The commands of `edge-llama keys`."""

from __future__ import annotations

import typer

from edge_llama.cli.command import ProgramCommand
from edge_llama.cli.keys.create import create
from edge_llama.cli.keys.list_ import list_
from edge_llama.cli.keys.revoke import revoke
from edge_llama.cli.keys.rotate import rotate
from edge_llama.cli.keys.set_ import set_
from edge_llama.cli.keys.show import show
from edge_llama.cli.keys.usage import usage

keys = typer.Typer(
    name="keys",
    help="Make API keys with limits, and see what they use.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (create, list_, show, set_, rotate, revoke, usage):
    keys.command(_command.__name__.rstrip("_"), cls=ProgramCommand)(_command)
