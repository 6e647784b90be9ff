"""PromptSettings: how conversations are written for a model."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Literal, TypeAlias

from edge_llama.errors import SettingsError

DateChoice: TypeAlias = Literal["auto", "today", "fixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSettings:
    """How conversations are written for a model.

    Attributes:
        chat_template: a Jinja template in the place of the model's own; empty takes that.
        date: what the model is told that today is: a date such as 2026-12-01, `today`, `fixed`,
            which is 26 July 2024 as in Llama 3.1's template, or `auto`: today for templates that
            ask for it, else fixed. Prompts share their beginning for as long as it stays.
        schema_hint: tell models the JSON Schema that an answer is held to, in the system message.
        tools_prompt: show tools in the system message to models whose template shows none.

    Raises:
        SettingsError: the date is none of these.
    """

    chat_template: str = ""
    date: str = "auto"
    schema_hint: bool = True
    tools_prompt: bool = False

    def __post_init__(self) -> None:
        if self.date not in ("auto", "today", "fixed"):
            try:
                datetime.date.fromisoformat(self.date)
            except ValueError:
                raise SettingsError(
                    f"`date` {self.date!r} is no date. Write today, fixed, auto, or a date such as "
                    "2026-12-01."
                ) from None


DEFAULT_PROMPTS = PromptSettings()
