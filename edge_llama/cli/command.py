"""ProgramCommand: what all commands of the program have in common."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from edge_llama.cli import flags

OPTIONS = "Options"
"""The heading of flags that are in no group."""


class ProgramCommand(TyperCommand):
    """A command whose help shows its flags in panels, and whose errors name them."""

    def invoke(self, ctx: Any) -> Any:
        """Run it."""
        flags.runs(self.callback)
        return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the flags: each panel where its first flag is."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                own = "Arguments" if parameter.param_type_name == "argument" else OPTIONS
                panel = getattr(parameter, "rich_help_panel", None) or own
                panels.setdefault(panel, []).append(record)
        for panel, records in panels.items():
            with formatter.section(panel):
                formatter.write_dl(records)
