"""ToolParameters: the arguments of tools as a grammar can have them."""

from __future__ import annotations

from enum import Enum
from typing import Any

from edge_llama.chat.grammar.json_schema import enforceable
from edge_llama.chat.grammar.loosened import loosened
from edge_llama.chat.tools.tool import Tool
from edge_llama.errors import InvalidValue

_COMBINED = frozenset({"anyOf", "oneOf", "allOf", "$ref", "patternProperties"})
_OBJECT: dict[str, Any] = {"type": "object"}


class Effort(str, Enum):
    """How much of the schemas of arguments is enforced.

    All of it, or a request is refused; what can be; what compiles easily; that they are objects.
    """

    STRICT = "strict"
    FULL = "full"
    PLAIN = "plain"
    OBJECTS = "objects"


class ToolParameters:
    """The schemas of tools' arguments, in terms that can be enforced.

    Args:
        effort: how much of them. A tool that is `strict` has all of it.

    Attributes:
        left_out: paths of what is not enforced.
    """

    def __init__(self, effort: Effort) -> None:
        self.left_out: list[str] = []
        self._effort = effort

    def of(self, tool: Tool, param: str) -> dict[str, Any]:
        """The schema of a function's arguments: an object, which has no other than its properties
        where the schema leaves that open.

        Args:
            tool: the function.
            param: where the request has its schema.

        Raises:
            RequestError: all of it is to be enforced, and cannot be.
        """
        if tool.strict or self._effort is Effort.STRICT:
            schema = enforceable(tool.parameters, param=param)
            if schema.get("type", "object") != "object":
                raise InvalidValue(f"{param}.type must be 'object'.", param=f"{param}.type")
            return _closed(schema)
        return self._loosened(tool, param)

    def _loosened(self, tool: Tool, param: str) -> dict[str, Any]:
        if self._effort is Effort.OBJECTS:
            if tool.parameters:
                self.left_out.append(param)
            return _OBJECT
        plain = self._effort is Effort.PLAIN
        schema, left_out = loosened(tool.parameters, param=param, plain=plain)
        kinds = schema.get("type", "object")
        if kinds != "object" and "object" not in kinds:
            self.left_out.append(f"{param}.type")
            return _OBJECT
        self.left_out += left_out
        if tool.parameters and not schema:
            return _OBJECT
        return _closed(schema)


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    names = schema.get("required", ())
    if not schema or ("properties" in schema and not _COMBINED & schema.keys()):
        # What must be there and is not described would else be impossible.
        further = set(names) <= properties.keys()
        schema = {"properties": properties, **schema}
        if further:
            schema.setdefault("additionalProperties", False)
    return {**schema, "type": "object"}
