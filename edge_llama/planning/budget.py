"""The memory that a model may take."""

from __future__ import annotations

from edge_llama.errors import SettingsError
from edge_llama.machine.memory import default_budget, read_memory
from edge_llama.units import parse_size


def memory_budget(memory: int | str | None = None) -> int:
    """Bytes that a model may take.

    Args:
        memory: as many bytes, or a size such as `6G` or `6.5GiB`; None is a safe share of what
            this machine has.

    Raises:
        SettingsError: it is not a size.
    """
    if memory is None:
        return default_budget(read_memory())
    if isinstance(memory, str):
        return parse_size(memory)
    if not isinstance(memory, int):
        raise SettingsError(f"`memory` must be bytes or a size such as '6G', not {memory!r:.100}.")
    return memory
