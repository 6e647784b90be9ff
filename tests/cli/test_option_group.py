from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from edge_llama.cli import bench
from edge_llama.cli.command import ProgramCommand
from edge_llama.cli.keys import options as keys_options
from edge_llama.cli.option_group import OptionGroup, settings_of, takes_groups
from edge_llama.cli.serve.keep_alive import parse_keep_alive
from edge_llama.cli.serve.options import ModelsOptions, RequestOptions
from edge_llama.settings.engine import EngineSettings
from edge_llama.settings.pool import PoolSettings
from edge_llama.settings.prompts import PromptSettings
from edge_llama.settings.server import Limits, ServerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FruitOptions(OptionGroup):
    PANEL = "Fruit"

    apples: Annotated[int, typer.Option("--apples", help="How many.")] = 3
    kinds: Annotated[list[str], typer.Option("--kind", help="Repeatable.")] = field(
        default_factory=list
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BasketOptions(OptionGroup):
    PANEL = "Basket"

    apples: Annotated[int, typer.Option("--apples", help="How many.")] = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Juice:
    """Settings of a kind."""

    apples: int = 1
    kinds: tuple[str, ...] = ()
    sugar: bool = False


def eat(name: str, *, fruit: FruitOptions, loud: bool = False) -> None:
    """Eat fruit."""
    typer.echo(f"{name} {fruit} {loud}")


def run(*arguments: str) -> str:
    app = typer.Typer(rich_markup_mode=None)
    app.command(cls=ProgramCommand)(takes_groups(eat))
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_command_gets_its_groups() -> None:
    assert run("Eve") == "Eve FruitOptions(apples=3, kinds=[]) False\n"
    said = run("Eve", "--apples", "1", "--kind", "red", "--kind", "green", "--loud")
    assert said == "Eve FruitOptions(apples=1, kinds=['red', 'green']) True\n"


def test_a_group_is_a_panel_of_the_help() -> None:
    _, fruit = run("--help").split("\nFruit:\n")
    fruit, others = fruit.split("\nOptions:\n")
    assert [line.split()[0] for line in fruit.splitlines()] == ["--apples", "--kind"]
    assert "--loud" in others
    assert "--help" in others


def test_the_same_flag_twice_is_an_error() -> None:
    def pack(*, fruit: FruitOptions, basket: BasketOptions) -> None: ...

    with pytest.raises(ValueError, match="duplicate parameter name: 'apples'"):
        takes_groups(pack)


def test_settings_take_what_they_have_a_field_for() -> None:
    group = FruitOptions(apples=7, kinds=["red"])
    assert settings_of(Juice, group) == Juice(apples=7, kinds=("red",))
    assert settings_of(Juice, group, apples=2, sugar=True).apples == 2


NO_SETTINGS = {
    *("memory", "cache_dir", "cache_size", "prefix"),
    *("model_set", "alias", "keep_alive", "allow_url", "tuned", "max_queue"),
    *("state_dir", "prices"),
}
"""Fields of groups from which a command makes something itself."""

OTHERS = (__name__, bench.__name__, keys_options.__name__)
"""Modules with groups that are not about settings."""

GROUPS = [group for group in OptionGroup.__subclasses__() if group.__module__ not in OTHERS]
FIELDS = {each.name: each for group in GROUPS for each in fields(group)}
SETTINGS = {
    each.name: getattr(settings, each.name)
    for settings in (EngineSettings(), ServerSettings(), Limits(), PromptSettings())
    for each in fields(settings)
}


def default_of(field: Field[Any]) -> Any:
    return tuple(field.default_factory()) if callable(field.default_factory) else field.default


def test_every_flag_is_a_setting_or_known_to_be_none() -> None:
    assert FIELDS.keys() - SETTINGS.keys() == NO_SETTINGS


@pytest.mark.parametrize(
    "name", sorted(FIELDS.keys() - NO_SETTINGS - {"api_keys", "chat_template"})
)
def test_a_flag_has_the_default_of_its_setting(name: str) -> None:
    assert default_of(FIELDS[name]) == SETTINGS[name]


def test_defaults_that_are_written_in_another_way() -> None:
    assert FIELDS["api_keys"].default is FIELDS["chat_template"].default is None
    assert SETTINGS["chat_template"] == ""
    assert SETTINGS["api_keys"] == ()
    assert parse_keep_alive(ModelsOptions().keep_alive) == PoolSettings().keep_alive
    requests = RequestOptions()
    assert requests.parallel + requests.max_queue == Limits().max_requests
