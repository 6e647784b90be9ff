"""`edge-llama keys create`: a new key for a user."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from edge_llama.cli.keys.options import LimitOptions, Name, StateDir, key_store
from edge_llama.cli.option_group import takes_groups
from edge_llama.cli.options import AsJSON


@takes_groups
def create(
    name: Name,
    *,
    limits: LimitOptions,
    admin: Annotated[
        bool, typer.Option("--admin", help="It may make and change other keys over HTTP.")
    ] = False,
    state_dir: StateDir = None,
    as_json: AsJSON = False,
) -> None:
    """Make an API key and print it, once.

    A server that runs knows it from its next request on. From then on every request needs a key.

    --json prints the key as `secret`, and what `keys show` does.
    """
    from edge_llama.accounts.limits import KeyLimits
    from edge_llama.cli.keys.told import key_object
    from edge_llama.cli.terminal.tables import print_json

    key, secret = key_store(state_dir).create(name, limits.applied(KeyLimits()), admin=admin)
    if as_json:
        print_json({"secret": secret, **key_object(key)})
    else:
        sys.stdout.write(f"{secret}\n")
