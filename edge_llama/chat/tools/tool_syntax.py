"""ToolSyntax: how a model writes calls of tools, to be enforced and read."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edge_llama.chat.tools.call_format import PYTHON_TAG
from edge_llama.chat.tools.marked_calls import MarkedCallParser
from edge_llama.chat.tools.marked_form import MarkedForm
from edge_llama.chat.tools.marked_grammar import marked_grammar
from edge_llama.chat.tools.tool import Tool, ToolChoice
from edge_llama.chat.tools.tool_calls import CallParser, ToolCallParser
from edge_llama.chat.tools.tool_grammar import tool_grammar
from edge_llama.chat.tools.tool_parameters import ToolParameters
from edge_llama.engine.protocol.grammar import CFG, JSONSchema, TriggeredCFG


class ToolSyntax:
    """How a model writes calls of these tools.

    Args:
        form: its family's; None is Llama 3's.
        control: spellings of the vocabulary's control tokens.
        tools: the functions.
        builtin: names of Llama 3.1's built-in tools, which no other family has.
    """

    def __init__(
        self,
        form: MarkedForm | None,
        control: Collection[str],
        tools: Sequence[Tool],
        builtin: Sequence[str] = (),
    ) -> None:
        self._form = form
        self._control = control
        self._tools = tools
        self._builtin = builtin

    def parser(self) -> CallParser:
        """What finds the calls of one answer."""
        names = [tool.name for tool in self._tools]
        if self._form is None:
            return ToolCallParser(names, self._builtin)
        return MarkedCallParser(self._form, names, tuple(self._control))

    def grammar(
        self, choice: ToolChoice, schema: JSONSchema | None, parameters: ToolParameters
    ) -> CFG | TriggeredCFG:
        """What an answer can be.

        Args:
            choice: what may be called, and whether anything must be.
            schema: what it must look like if it calls nothing.
            parameters: makes the schemas of arguments enforceable.

        Raises:
            RequestError: one cannot be, or nothing can be called.
        """
        if self._form is None:
            return tool_grammar(
                self._tools,
                choice,
                builtin=self._builtin,
                tagged=PYTHON_TAG in self._control,
                form=schema,
                parameters=parameters,
            )
        functions = [
            (tool.name, parameters.of(tool, f"tools[{index}].{tool.schema_path}"))
            for index, tool in enumerate(self._tools)
            if choice.allows(tool.name)
        ]
        return marked_grammar(self._form, functions, choice, control=self._control, schema=schema)
