"""README and the pages of the manual, as the tests read them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge_llama.docs import pages

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MANUAL = {f"edge_llama/docs/{page.topic}.md": page.text for page in pages()}
TEXTS = {"README.md": README, **MANUAL}
"""By their paths in the repository."""


def blocks_of(text: str, language: str = r"\w*") -> list[str]:
    """The fenced blocks of a language, with lines joined at a trailing backslash."""
    blocks: list[str] = re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)
    return [block.replace("\\\n", " ") for block in blocks]


def code_of(text: str) -> Iterator[str]:
    """The lines of fenced blocks, and inline code."""
    for block in blocks_of(text):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


GROUPS = {"keys"}
"""Commands that have commands of their own."""


def calls_of(lines: Iterable[str]) -> list[tuple[str, list[str]]]:
    """The calls of edge-llama among `lines`, as (command, flags)."""
    found = []
    for line in lines:
        if match := re.match(r"\s*[@$]?\s*(?:exec\s+)?(?:\S*/)?edge-llama(?:\s+(.*))?$", line):
            words = shlex.split((match[1] or "").partition(" | ")[0], comments=True)
            command = "" if not words or words[0].startswith("-") else words[0]
            if command in GROUPS and len(words) > 1:
                command = f"{command} {words[1]}"
            flags = [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]
            found.append((command, flags))
    return found
