"""A fit as it is shown: what is said of settings is said of the flags of `edge-llama serve`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_llama.cli.flags import with_flags
from edge_llama.cli.serve.serve import serve

if TYPE_CHECKING:
    from edge_llama.planning.fit import Fit


def with_serve_flags(fit: Fit) -> Fit:
    """`fit` with a summary for those who type commands."""
    return replace(fit, summary=with_flags(fit.summary, serve))
