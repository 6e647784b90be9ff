"""How long a text a regular expression asks for."""

from __future__ import annotations

import re

_PART = re.compile(
    r"""
      \\.                                # an escape
    | \[\^?\]?(?:\\.|[^\]\\])*\]        # a class
    | \{(?P<least>\d+)(?:,\d*)?\}        # a repetition
    | (?P<open>\()
    | (?P<close>\))
    | [*+?|]
    | .                                 # anything else stands for itself
    """,
    re.VERBOSE | re.DOTALL,
)
_SIGNS = frozenset("*+?|")


def required_length(pattern: str) -> int:
    """At least the characters of the longest run that a match must have in a row.

    Of alternatives all are counted, of repetitions the fewest, but one. A fault in the pattern is
    somebody else's to find.
    """
    lengths = [0]
    last = 0
    for part in _PART.finditer(pattern):
        if part["open"]:
            lengths.append(0)
            last = 0
        elif part["close"] and len(lengths) > 1:
            last = lengths.pop()
            lengths[-1] += last
        elif part["least"]:
            more = last * (max(int(part["least"][:12]), 1) - 1)
            lengths[-1] += more
            last += more
        elif part[0] not in _SIGNS:
            lengths[-1] += 1
            last = 1
    return sum(lengths)
