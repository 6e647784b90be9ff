"""The models of a server: found, downloaded if need be, and planned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edge_llama.cli.flags import in_one_line
from edge_llama.cli.models.pull import stopping_calmly
from edge_llama.cli.serve.aliases import assign_aliases
from edge_llama.cli.terminal.printable import printable
from edge_llama.cli.terminal.progress import ProgressMode, display_for
from edge_llama.errors import ModelFileError, SettingsError, WeightsError
from edge_llama.planning.obtain import Obtained, from_store, obtain
from edge_llama.planning.planned import Planned

if TYPE_CHECKING:
    from edge_llama.pool.registry import ServedModel
    from edge_llama.settings.prompts import PromptSettings


def obtain_all(names: Sequence[str], budget: int, *, allow_url: bool) -> list[Obtained]:
    """The models of these names, each file once; their downloads are shown.

    Raises:
        EdgeLlamaError: one of them cannot be had.
    """
    with stopping_calmly(), display_for(ProgressMode.AUTO, announces=False) as display:
        found: dict[Path, Obtained] = {}
        for name in names:
            model = obtain(name, budget=budget, watcher=display, allow_url=allow_url)
            same = found.get(model.path)
            found[model.path] = model if same is None else same.also(model)
        return list(found.values())


def plan_installed(plan: Callable[[Obtained], Planned]) -> dict[Obtained, Planned]:
    """All installed models that can be run here; of the others it is told why not.

    Raises:
        SettingsError: none is installed.
    """
    from edge_llama.weights.store.store import default_store

    installed = default_store().installed()
    if not installed:
        raise SettingsError("No model is installed. Install one with: edge-llama pull MODEL")
    plans: dict[Obtained, Planned] = {}

    def add(model: Obtained) -> None:
        try:
            plans[model] = plan(model)
        except (ModelFileError, WeightsError) as error:
            name, fault = printable(model.name.id), in_one_line(error)
            typer.echo(f"edge-llama: {name} is not served: {fault}", err=True)

    for model in installed:
        add(from_store(model.id, model))
    return plans


def served_models(
    plans: Mapping[Obtained, Planned], aliases: Sequence[str], prompts: PromptSettings
) -> list[ServedModel]:
    """What the server's registry takes.

    Args:
        plans: how each model is run.
        aliases: values of `--alias`.
        prompts: how conversations are written.

    Raises:
        SettingsError: as for `assign_aliases`.
    """
    names = assign_aliases([model.name for model in plans], aliases)
    return [
        _served(model, planned, its, prompts)
        for (model, planned), its in zip(plans.items(), names, strict=True)
    ]


def _served(
    model: Obtained, planned: Planned, aliases: tuple[str, ...], prompts: PromptSettings
) -> ServedModel:
    from edge_llama.engine.client.async_engine import AsyncEngine
    from edge_llama.pool.pooled_model import PooledModel
    from edge_llama.pool.registry import ServedModel

    memory = 0 if planned.memory is None else planned.memory.total
    return ServedModel(
        model.name.id,
        PooledModel(
            model.name.id, partial(AsyncEngine, planned.settings), memory=memory, prompts=prompts
        ),
        aliases=aliases,
        planned_context=planned.settings.ctx_size,
        file_quantization=None if planned.memory is None else planned.memory.shape.quantization,
        file_is_encoder=None if planned.memory is None else planned.memory.shape.encoder,
    )
