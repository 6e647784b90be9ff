"""KeyLimits: what a key may use."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Literal, TypeAlias

from edge_llama.errors import SettingsError
from edge_llama.settings.ranges import check_range

Tier: TypeAlias = Literal["default", "flex"]

_MOST = 1 << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLimits:
    """What a key may use; None does not limit.

    Attributes:
        models: ids of the only models that it may use.
        rpm: requests in any 60 seconds.
        tpm: tokens of prompts and output in any 60 seconds. A request counts until 60 seconds after
            its end, and with all it may still write as long as it runs.
        tokens_per_day: tokens from midnight to midnight, UTC.
        parallel: requests at the same time.
        budget_cents: what it may cost in all, by the prices of the models.
        expires: until when it opens anything, in seconds since 1970.
        tier: `flex` has all its requests run when no others wait.

    Raises:
        SettingsError: a limit is out of range.
    """

    models: tuple[str, ...] | None = None
    rpm: int | None = None
    tpm: int | None = None
    tokens_per_day: int | None = None
    parallel: int | None = None
    budget_cents: float | None = None
    expires: float | None = None
    tier: Tier = "default"

    def __post_init__(self) -> None:
        for name in ("rpm", "tpm", "tokens_per_day", "parallel"):
            value = getattr(self, name)
            if value is not None:
                check_range(name, value, 1, _MOST)
        if self.budget_cents is not None and not 0 <= self.budget_cents < _MOST:
            raise SettingsError(f"`budget_cents` must not be negative, nor {self.budget_cents:g}.")
        if self.tier not in ("default", "flex"):
            raise SettingsError(f"`tier` must be default or flex, not {self.tier!r}.")
        if self.models is not None and not all(self.models):
            raise SettingsError("`models` has an empty name.")

    def to_json(self) -> str:
        """As the state file has it: what is None is left out."""
        return json.dumps(
            {name: value for name, value in asdict(self).items() if value is not None}
        )


def limits_from_json(text: str) -> KeyLimits:
    """The limits of `to_json`; of a newer version, what this one knows."""
    found = json.loads(text)
    known = {field.name for field in fields(KeyLimits)}
    values = {name: value for name, value in found.items() if name in known}
    if values.get("models") is not None:
        values["models"] = tuple(values["models"])
    return KeyLimits(**values)
