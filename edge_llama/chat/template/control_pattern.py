"""Finds spellings of control tokens in text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby, takewhile
from operator import itemgetter

MAX_SPELLING = 256
"""Characters of a control token; a longer one, or one of a single character, stays text."""


def findable(control_tokens: Iterable[str]) -> list[str]:
    """The control tokens that are looked for, sorted."""
    return sorted(token for token in control_tokens if 1 < len(token) <= MAX_SPELLING)


def control_pattern(control_tokens: Iterable[str]) -> re.Pattern[str]:
    """A pattern with one group that matches the longest spelling of a control token."""
    spellings = findable(control_tokens)
    return re.compile(f"({_any_of(spellings) if spellings else '(?!)'})")


def _any_of(words: list[str]) -> str:
    """A pattern for the longest of sorted words, as a trie: its time follows the text alone."""
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(words[0], words[-1], strict=False))
    prefix = "".join(first for first, _ in alike)
    tails = [word[len(prefix) :] for word in words if word != prefix]
    if not tails:
        return re.escape(prefix)
    branches = "|".join(_any_of(list(group)) for _, group in groupby(tails, key=itemgetter(0)))
    optional = "?" if len(tails) < len(words) else ""
    return f"{re.escape(prefix)}(?:{branches}){optional}"
