"""Numbers as people read them: bytes in powers of ten, as disks and the hub count them.

Only a limit that stands alone keeps the unit that it was chosen in: 2 MiB are not 2.10 MB. What is
compared with other sizes is told like them.
"""

from __future__ import annotations

import re

from edge_llama.errors import SettingsError

_PREFIXES = ("", "k", "M", "G", "T")
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<prefix>[kmgt]?)(?P<binary>i?)b?", re.I | re.A)


def parse_size(text: str) -> int:
    """`6G` and `6GB` (powers of 1000), `6.5Gi` and `6.5GiB` (of 1024), or plain bytes.

    Raises:
        SettingsError: it is none of these, or zero.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match["binary"] and not match["prefix"]):
        raise SettingsError(f"{text!r} is not an amount of memory. Write it as 6G, 6.5GiB or 512M.")
    power = "kmgt".index(match["prefix"].lower()) + 1 if match["prefix"] else 0
    size = int(float(match["number"]) * (1024 if match["binary"] else 1000) ** power)
    if size == 0:
        raise SettingsError(f"{text!r} is no memory at all. Write it as 6G, 6.5GiB or 512M.")
    return size


def format_size(size: float) -> str:
    """Bytes in three digits: `4.92 GB`, `812 MB`."""
    scaled, power = _scaled(size)
    digits = 0 if power == 0 or scaled >= 99.95 else 1 if scaled >= 9.995 else 2
    return f"{scaled:.{digits}f} {_PREFIXES[power]}B"


def format_limit(limit: int) -> str:
    """A limit in bytes: `2 MiB` where it is a whole number of these, else as `format_size`."""
    for power in range(len(_PREFIXES) - 1, 0, -1):
        count, rest = divmod(limit, 1024**power)
        if rest == 0 and 0 < count < 1024:
            return f"{count} {_PREFIXES[power].upper()}iB"
    return format_size(limit)


def format_count(count: int) -> str:
    """A count in three digits: `8.03 billion`, `361 thousand`."""
    scaled, power = _scaled(count)
    digits = 0 if power == 0 or scaled >= 99.95 else 1 if scaled >= 9.995 else 2
    return (
        f"{scaled:.{digits}f} {('', 'thousand', 'million', 'billion', 'trillion')[power]}".strip()
    )


def format_duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `2 h 5 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _scaled(number: float) -> tuple[float, int]:
    power = 0
    # 999.5 would be shown as 1000.
    while number >= 999.5 and power < len(_PREFIXES) - 1:
        number /= 1000
        power += 1
    return number, power
