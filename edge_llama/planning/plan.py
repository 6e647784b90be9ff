"""The front door: from a model's name to settings that fit this machine."""

from __future__ import annotations

from pathlib import Path

from edge_llama.errors import SettingsError
from edge_llama.planning.budget import memory_budget
from edge_llama.planning.install import PullWatcher
from edge_llama.planning.locate import name_of
from edge_llama.planning.obtain import obtain
from edge_llama.planning.planned import Planned, plan_model
from edge_llama.settings.engine import CHOOSE_ALL, EngineSettings


def plan(
    name: str | Path,
    *,
    memory: int | str | None = None,
    settings: EngineSettings = CHOOSE_ALL,
    use_tuned: bool = True,
    watcher: PullWatcher | None = None,
    allow_url: bool = False,
    download: bool = True,
) -> Planned:
    """Find a model, download it if need be, and fit it into memory.

    ```
    planned = plan("llama-3.1-8b-instruct", memory="6G")
    async with AsyncEngine(planned.settings) as engine: ...
    ```

    Args:
        name: `demo`; the path of a .gguf file; a model of `edge-llama list --all`, with or without
            `:QUANT`; `owner/repo:QUANT` of huggingface.co; an https address, if `allow_url`.
        memory: bytes that it may take, or a size such as `6G`; None is a safe share of what this
            machine has.
        settings: what is not to be chosen; `model` is filled in.
        use_tuned: take what `edge-llama tune` found for what `settings` leaves open.
        watcher: is told how a download goes.
        allow_url: whether files may come from other servers than the hub.
        download: whether anything may be downloaded.

    Raises:
        UnknownModel: there is no such model; the text suggests what is like it.
        DoesNotFit: it needs more memory; the text says what would fit.
        ModelFileError: the file is damaged, or llama.cpp would end the process over it.
        WeightsError: it cannot be downloaded; the text says why and what to do.
        SettingsError: an argument cannot be used.
    """
    name = name_of(name)
    if not isinstance(settings, EngineSettings):
        raise SettingsError(f"`settings` must be EngineSettings, not {settings!r:.100}.")
    budget = memory_budget(memory)
    model = obtain(name, budget=budget, watcher=watcher, allow_url=allow_url, download=download)
    return plan_model(model, settings, budget, use_tuned=use_tuned)
