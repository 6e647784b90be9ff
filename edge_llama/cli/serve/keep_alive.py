"""How long idle models stay loaded: what `--keep-alive` takes."""

from __future__ import annotations

import re

from edge_llama.errors import SettingsError

NEVER = "-1"
LONGEST = 365 * 86400

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh]?)", re.A)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def parse_keep_alive(text: str) -> float | None:
    """Seconds from `90`, `90s`, `10m` or `1.5h`; None from `-1`, which is for ever.

    Raises:
        SettingsError: it is none of these, or longer than a year.
    """
    if text.strip() == NEVER:
        return None
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise SettingsError(
            f"--keep-alive {text!r} is not a duration. Write seconds, 30s, 10m or 1h; "
            "0 unloads at once, -1 never."
        )
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > LONGEST:
        raise SettingsError(f"--keep-alive {text} is longer than a year. -1 never unloads.")
    return seconds
