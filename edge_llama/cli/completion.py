"""What the shell offers for MODEL and TOPIC when Tab is pressed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edge_llama.errors import EdgeLlamaError
from edge_llama.weights.demo import DEMO


def complete_model(incomplete: str) -> list[str]:
    """Ids of the demo, of installed models and of the catalog that begin as typed."""
    return _matching(incomplete, lambda: [DEMO], _installed, _catalog)


def complete_installed(incomplete: str) -> list[str]:
    """Ids of installed models that begin as typed."""
    return _matching(incomplete, _installed)


def complete_topic(incomplete: str) -> list[str]:
    """Topics of the manual that begin as typed."""
    return _matching(incomplete, _topics)


def _matching(incomplete: str, *sources: Callable[[], Iterable[str]]) -> list[str]:
    names = dict.fromkeys(name for source in sources for name in _names(source))
    return [name for name in names if name.startswith(incomplete)]


def _names(source: Callable[[], Iterable[str]]) -> list[str]:
    try:
        return list(source())
    except (EdgeLlamaError, OSError):
        return []  # half a command line is no place for an error; the command will tell it


def _installed() -> list[str]:
    from edge_llama.weights.store.store import default_store

    return [model.id for model in default_store().installed()]


def _catalog() -> list[str]:
    from edge_llama.weights.catalog.catalog import load_catalog

    return [model.id for model in load_catalog().models]


def _topics() -> Iterable[str]:
    from edge_llama.docs import TOPICS

    return TOPICS
