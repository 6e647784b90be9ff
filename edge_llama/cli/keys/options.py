"""The flags that the commands of `edge-llama keys` share."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_llama.cli.duration import parse_duration
from edge_llama.cli.option_group import OptionGroup
from edge_llama.errors import SettingsError

if TYPE_CHECKING:
    from edge_llama.accounts.key_store import KeyStore
    from edge_llama.accounts.limits import KeyLimits
    from edge_llama.accounts.state_file import StateFile

NONE = "none"

STATE_DIR_VARIABLE = "EDGE_LLAMA_STATE_DIR"

StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        metavar="FOLDER",
        envvar=STATE_DIR_VARIABLE,
        help="Where keys and their usage are kept. Default: in the user's folder for data.",
        show_default=False,
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")]
NameOrId = Annotated[str, typer.Argument(metavar="NAME", help="Name or id of the key.")]


class Tier(str, Enum):
    """How urgent all requests of a key are."""

    DEFAULT = "default"
    FLEX = "flex"


def parse_count(text: str) -> float:
    """A limit; infinite from `none`."""
    return math.inf if text.strip() == NONE else _number(text, int)


def parse_cents(text: str) -> float:
    """A budget; infinite from `none`."""
    return math.inf if text.strip() == NONE else _number(text, float)


def parse_expiry(text: str) -> float:
    """Seconds since 1970 from a duration from now; infinite from `none`."""
    return math.inf if text.strip() == NONE else time.time() + parse_duration(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOptions(OptionGroup):
    """What a key may use; `none` takes a limit away."""

    PANEL = "Limits ('none' takes one away)"

    models: Annotated[
        str | None,
        typer.Option(
            "--models",
            metavar="NAMES",
            help="The only models that it may use, with commas between them.",
        ),
    ] = None
    rpm: Annotated[
        float | None,
        typer.Option(
            "--rpm", metavar="REQUESTS", parser=parse_count, help="Requests in any minute."
        ),
    ] = None
    tpm: Annotated[
        float | None,
        typer.Option(
            "--tpm",
            metavar="TOKENS",
            parser=parse_count,
            help="Tokens of prompts and answers in any minute.",
        ),
    ] = None
    tokens_per_day: Annotated[
        float | None,
        typer.Option(
            "--tokens-per-day",
            metavar="TOKENS",
            parser=parse_count,
            help="Tokens of a day, which begins at midnight UTC.",
        ),
    ] = None
    parallel: Annotated[
        float | None,
        typer.Option(
            "--parallel",
            metavar="REQUESTS",
            parser=parse_count,
            help="Requests at the same time.",
        ),
    ] = None
    budget_cents: Annotated[
        float | None,
        typer.Option(
            "--budget-cents",
            metavar="CENTS",
            parser=parse_cents,
            help="What it may cost in all, by the prices of `serve --prices`.",
        ),
    ] = None
    expires: Annotated[
        float | None,
        typer.Option(
            "--expires",
            metavar="DURATION",
            parser=parse_expiry,
            help="When it ends to open anything, from now: 12h, 30d.",
        ),
    ] = None
    tier: Annotated[
        Tier | None,
        typer.Option("--tier", help="flex: its requests run when no others wait."),
    ] = None

    def applied(self, limits: KeyLimits) -> KeyLimits:
        """`limits` with those that were given.

        Raises:
            SettingsError: one is out of range.
        """
        changed: dict[str, Any] = {}
        for name in ("rpm", "tpm", "tokens_per_day", "parallel", "budget_cents", "expires"):
            value = getattr(self, name)
            if value is not None:
                changed[name] = None if value == math.inf else value
        if self.models is not None:
            names = [name.strip() for name in self.models.split(",")]
            changed["models"] = None if names == [NONE] else tuple(names)
        if self.tier is not None:
            changed["tier"] = self.tier.value
        return replace(limits, **changed)


def state_file(folder: Path | None) -> StateFile:
    """The state file in a folder; None is the default one."""
    from edge_llama.accounts.state_file import FILE_NAME, StateFile, default_state_dir

    return StateFile((folder or default_state_dir()) / FILE_NAME)


def key_store(folder: Path | None) -> KeyStore:
    """The keys in a folder; None is the default one."""
    from edge_llama.accounts.key_store import KeyStore

    return KeyStore(state_file(folder))


def _number(text: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(text)
    except ValueError:
        raise SettingsError(f"{text!r} is not a number. Write 100, or none.") from None
