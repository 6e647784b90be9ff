"""The manual: Markdown pages that come with the package, so that it is there offline."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from edge_llama.errors import SettingsError

TOPICS = (
    "models",
    "serve",
    "command-line",
    "clients",
    "http-api",
    "compatibility",
    "structured-output",
    "tools",
    "chat-templates",
    "caching",
    "tuning-and-bench",
    "library",
    "security",
    "keys",
    "troubleshooting",
)
"""In the order in which a newcomer would read them."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the manual.

    Attributes:
        topic: its name in commands and addresses.
        title: its first heading.
        summary: its first paragraph, in one line.
        text: all of it, as Markdown.
    """

    topic: str
    title: str
    summary: str
    text: str


def page(topic: str) -> Page:
    """The page about a topic.

    Raises:
        SettingsError: there is none; the text names those that there are.
    """
    if topic not in TOPICS:
        raise SettingsError(f"There is no topic {topic!r}. The topics are: {', '.join(TOPICS)}.")
    text = files(__package__).joinpath(f"{topic}.md").read_text("utf-8")
    title, summary, *_ = text.split("\n\n")
    return Page(topic, title.removeprefix("# "), " ".join(summary.split()), text)


def pages() -> list[Page]:
    """All pages, in the order in which a newcomer would read them."""
    return [page(topic) for topic in TOPICS]
