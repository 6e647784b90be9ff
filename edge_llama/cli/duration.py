"""Durations as people write them."""

from __future__ import annotations

import re

from edge_llama.errors import SettingsError

DAY = 86400

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)", re.A)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": DAY}


def parse_duration(text: str) -> float:
    """Seconds from `90`, `90s`, `10m`, `1.5h` or `7d`.

    Raises:
        SettingsError: it is none of these.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise SettingsError(f"{text!r} is not a duration. Write seconds, 30s, 10m, 1h or 7d.")
    return float(match[1]) * _SECONDS[match[2]]
