"""The names that served models answer to, besides their ids."""

from __future__ import annotations

from collections.abc import Sequence

from edge_llama.errors import SettingsError
from edge_llama.planning.named import NamedModel


def assign_aliases(models: Sequence[NamedModel], options: Sequence[str]) -> list[tuple[str, ...]]:
    """The aliases of each model: those that the user gave it, then those it is known as.

    A name by which two models are known goes to the one that was asked for by it, else to the
    first of them, and names that were given go before those.

    Args:
        models: all that are served.
        options: values of `--alias`: `MODEL=NAME`, or `NAME` alone for an only model.

    Raises:
        SettingsError: an option does not tell which of several models it names.
    """
    given: dict[str, list[str]] = {model.id: [] for model in models}
    for option in options:
        id, alias = _parse(models, option)
        given[id].append(alias)
    explicit = (*given, *(alias for aliases in given.values() for alias in aliases))
    taken = {name.casefold() for name in explicit}
    asked = {model.asked.casefold() for model in models}
    for model in models:
        for name in model.known_as:
            same = name.casefold()
            if same not in taken and (same == model.asked.casefold() or same not in asked):
                taken.add(same)
                given[model.id].append(name)
    return [tuple(given[model.id]) for model in models]


def _parse(models: Sequence[NamedModel], option: str) -> tuple[str, str]:
    """The id of the model that `option` names, and the name."""
    for model in models:
        for name in model.names:
            if option.startswith(f"{name}="):
                return model.id, option.removeprefix(f"{name}=")
    if len(models) == 1:
        return models[0].id, option
    ids = ", ".join(model.id for model in models)
    raise SettingsError(
        f"--alias {option!r} does not tell which model it names. Write --alias MODEL=NAME, "
        f"where MODEL is one of: {ids}."
    )
