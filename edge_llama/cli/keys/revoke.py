"""`edge-llama keys revoke`: the end of a key."""

from __future__ import annotations

import sys

from edge_llama.cli.keys.options import NameOrId, StateDir, key_store


def revoke(name: NameOrId, state_dir: StateDir = None) -> None:
    """End a key. It opens nothing any more, its usage is kept, and its name is free."""
    key = key_store(state_dir).revoke(name)
    sys.stdout.write(f"{key.name.partition('~')[0]} was revoked. Its id is {key.id}.\n")
