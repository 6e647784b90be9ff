"""What a model may call, and whether it must."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from edge_llama.engine.protocol.kinds import wrong_kind

SEARCHES = ("brave_search", "wolfram_alpha")
CODE_INTERPRETER = "code_interpreter"
BUILTIN_TOOLS = (*SEARCHES, CODE_INTERPRETER)
"""Tools that Llama 3.1 knows without a definition."""


WANTED = 'objects such as {"name": "f", "parameters": {...}}'
"""How a tool is described to those who gave something else."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call.

    Attributes:
        definition: OpenAI's tool object, key order as the client sent it; it goes into the prompt.
            Its `function` alone will do.
        schema_path: where the request's tool has the schema of the arguments, for errors.

    Raises:
        InvalidValue: it is no dict.
    """

    definition: dict[str, Any]
    schema_path: str = "function.parameters"

    def __post_init__(self) -> None:
        if not isinstance(self.definition, dict):
            raise wrong_kind("tools", self.definition, WANTED)

    @property
    def name(self) -> str:
        name = self._function.get("name")
        if not isinstance(name, str):
            raise wrong_kind("tools", self.definition, WANTED)
        return name

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        parameters = self._function.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise wrong_kind("parameters", parameters, "a JSON Schema, which is a dict")
        return parameters

    @property
    def _function(self) -> dict[str, Any]:
        function = self.definition.get("function", self.definition)
        return function if isinstance(function, dict) else {}

    def whole(self) -> Tool:
        """This tool as templates know it, with its function in `function`.

        Raises:
            InvalidValue: it has no name, or its parameters are no schema.
        """
        _ = self.name, self.parameters
        if "function" in self.definition:
            return self
        return Tool({"type": "function", "function": self.definition}, self.schema_path)

    @property
    def strict(self) -> bool:
        """All of the schema is enforced, or the request refused."""
        return self.definition["function"].get("strict") is True


class CallMode(str, Enum):
    """Whether the model may, or must, call a tool."""

    NONE = "none"
    AUTO = "auto"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """What the model may do with its tools.

    Attributes:
        mode: whether it calls any.
        names: the tools it may call; None is all of them.
        parallel: it may call several in one answer.
    """

    mode: CallMode = CallMode.AUTO
    names: frozenset[str] | None = None
    parallel: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.mode, CallMode):
            object.__setattr__(self, "mode", _mode(self.mode))
        if isinstance(self.names, str):
            raise wrong_kind("names", self.names, "a set of names of tools")

    def allows(self, name: str) -> bool:
        return self.names is None or name in self.names


def _mode(mode: object) -> CallMode:
    try:
        return CallMode(mode)
    except ValueError:
        raise wrong_kind("tool_choice", mode, '"none", "auto" or "required"') from None
