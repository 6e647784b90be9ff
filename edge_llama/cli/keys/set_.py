"""`edge-llama keys set`: other limits for a key."""

from __future__ import annotations

import sys

from edge_llama.cli.keys.options import LimitOptions, NameOrId, StateDir, key_store
from edge_llama.cli.option_group import takes_groups


@takes_groups
def set_(name: NameOrId, *, limits: LimitOptions, state_dir: StateDir = None) -> None:
    """Change the limits of a key, those that are given."""
    from edge_llama.cli.keys.told import limits_text

    store = key_store(state_dir)
    key = store.get(name)
    key = store.set_limits(key.id, limits.applied(key.limits))
    sys.stdout.write(f"{key.name}: {limits_text(key)}\n")
