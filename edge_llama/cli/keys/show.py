"""`edge-llama keys show`: one key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edge_llama.cli.keys.options import NameOrId, StateDir, key_store
from edge_llama.cli.options import AsJSON

if TYPE_CHECKING:
    from edge_llama.accounts.key import Key


def show(name: NameOrId, state_dir: StateDir = None, as_json: AsJSON = False) -> None:
    """Show what is known of a key; the key itself is kept nowhere.

    --json prints `id`, `name`, `admin`, `created`, `revoked` (seconds since 1970) and `limits`.
    """
    from edge_llama.cli.keys.told import key_object
    from edge_llama.cli.terminal.tables import print_facts, print_json

    key = key_store(state_dir).get(name)
    if as_json:
        print_json(key_object(key))
    else:
        print_facts(_facts(key))


def _facts(key: Key) -> Iterator[tuple[str, str]]:
    from edge_llama.cli.keys.told import limit_facts, moment, state_of

    yield "name", key.name
    yield "id", key.id
    yield "state", state_of(key)
    yield "made", moment(key.created)
    if key.admin:
        yield "admin", "yes"
    yield from limit_facts(key)
