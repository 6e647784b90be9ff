"""Option groups: flags that are declared once, in a dataclass, and taken by several commands.

```
@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadOptions(OptionGroup):
    PANEL = "Speed"
    threads: Annotated[int | None, typer.Option("--threads")] = CHOOSE_ALL.threads

@takes_groups
def chat(model: Model = DEMO, *, threads: ThreadOptions) -> None:
    settings = settings_of(EngineSettings, threads, parallel=1)
```
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import MISSING, Field, dataclass, fields
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, get_args, get_type_hints

from typer.models import OptionInfo

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionGroup:
    """The base of groups: each field is a flag, annotated with `typer.Option`.

    A field has the name and the default of the setting that it is for: by that name
    `settings_of` finds it, and errors about the setting find the flag.

    Attributes:
        PANEL: what the help writes above the flags. Groups may share it.
    """

    PANEL: ClassVar[str]


def takes_groups(command: Callable[..., None]) -> Callable[..., None]:
    """`command` as typer wants it: a parameter for each flag of the groups that it takes.

    Raises:
        ValueError: two of them have the same name.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if _is_group(hint)}

    @functools.wraps(command)
    def collected(**values: Any) -> None:
        built = {
            name: group(**{each.name: values.pop(each.name) for each in fields(group)})
            for name, group in groups.items()
        }
        command(**values, **built)

    flat: list[Parameter] = []
    for parameter in signature(command).parameters.values():
        if parameter.name in groups:
            flat += _flags(groups[parameter.name])
        else:
            flat.append(
                parameter.replace(annotation=hints[parameter.name], kind=Parameter.KEYWORD_ONLY)
            )
    collected.__signature__ = Signature(flat)  # type: ignore[attr-defined]
    collected.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    return collected


def settings_of(kind: type[S], *groups: OptionGroup, **given: object) -> S:
    """Settings of `kind`: each field that a group has too, and what is `given`, which goes first.

    A list becomes a tuple, for settings are frozen.
    """
    names = {each.name for each in fields(kind)}
    values = {
        each.name: _frozen(getattr(group, each.name))
        for group in groups
        for each in fields(group)
        if each.name in names
    }
    return kind(**{**values, **given})


def _is_group(hint: object) -> bool:
    return isinstance(hint, type) and issubclass(hint, OptionGroup)


def _flags(group: type[OptionGroup]) -> Iterator[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for each in fields(group):
        kind, option = get_args(hints[each.name])
        yield Parameter(
            each.name,
            Parameter.KEYWORD_ONLY,
            default=_default(each),
            annotation=Annotated[kind, _in_panel(option, group.PANEL)],
        )


def _in_panel(option: OptionInfo, panel: str) -> OptionInfo:
    option = copy(option)
    option.rich_help_panel = panel
    return option


def _default(field: Field[Any]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
