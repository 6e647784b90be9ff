"""Prices: what tokens of a model cost.

```toml
[models."llama-3.1-8b-instruct"]
input = 10      # cents for a million tokens of prompts
output = 40     # cents for a million tokens of output
```
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_llama.errors import SettingsError
from edge_llama.files.regular import read_regular

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_SIZE = 1 << 20
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Cents for a million tokens."""

    input: float = 0.0
    output: float = 0.0

    def cents(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (self.input * prompt_tokens + self.output * completion_tokens) / MILLION


FREE = Price()


def read_prices(path: Path) -> Mapping[str, Price]:
    """The prices of a TOML file, by model.

    Raises:
        SettingsError: it cannot be read, or is not of that form.
    """
    try:
        found = tomllib.loads(read_regular(path, MAX_SIZE, follow=True).decode())
    except (OSError, ValueError) as error:
        raise SettingsError(f"The prices in {path} cannot be read: {error}.") from None
    models = found.get("models")
    if not isinstance(models, dict) or found.keys() != {"models"}:
        raise SettingsError(f'{path}: write one table for each model: [models."NAME"].')
    return {name: _price(f"{path}: {name}", table) for name, table in models.items()}


def _price(place: str, table: object) -> Price:
    if not isinstance(table, dict) or not table.keys() <= {"input", "output"}:
        raise SettingsError(f"{place} may have `input` and `output`, and nothing else.")
    for name, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
            raise SettingsError(f"{place}: `{name}` must be cents for a million tokens.")
    return Price(**table)
