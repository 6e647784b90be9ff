"""How long idle models stay loaded: what `--keep-alive` takes."""

from __future__ import annotations

from edge_llama.cli.duration import DAY, parse_duration
from edge_llama.errors import SettingsError

NEVER = "-1"
LONGEST = 365 * DAY


def parse_keep_alive(text: str) -> float | None:
    """Seconds from `90`, `90s`, `10m` or `1.5h`; None from `-1`, which is for ever.

    Raises:
        SettingsError: it is none of these, or longer than a year.
    """
    if text.strip() == NEVER:
        return None
    try:
        seconds = parse_duration(text)
    except SettingsError as error:
        raise SettingsError(f"--keep-alive {error} 0 unloads at once, -1 never.") from None
    if seconds > LONGEST:
        raise SettingsError(f"--keep-alive {text} is longer than a year. -1 never unloads.")
    return seconds
