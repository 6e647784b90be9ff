"""Planning a model for a command: what is downloaded for it is shown."""

from __future__ import annotations

from edge_llama.cli.models.pull import stopping_calmly
from edge_llama.cli.terminal.progress import ProgressMode, display_for
from edge_llama.planning.plan import plan
from edge_llama.planning.planned import Planned
from edge_llama.settings.engine import EngineSettings


def plan_here(
    name: str, settings: EngineSettings, memory: int | None, *, allow_url: bool
) -> Planned:
    """As `planning.plan`; Ctrl-C in a download is told calmly and ends the program."""
    with stopping_calmly(), display_for(ProgressMode.AUTO, announces=False) as display:
        return plan(name, memory=memory, settings=settings, watcher=display, allow_url=allow_url)
