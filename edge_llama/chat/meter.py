"""UsageMeter: counts what a request uses, for whoever it is."""

from __future__ import annotations

from typing import Protocol

from edge_llama.chat.engine import OutputStream


class UsageMeter(Protocol):
    """Counts what a request uses, and ends it when nothing is left."""

    def metered(self, generation: OutputStream, *, n: int, max_tokens: int | None) -> OutputStream:
        """The outputs of a request that the engine has accepted, counted.

        Args:
            generation: what runs.
            n: how many choices.
            max_tokens: most tokens of each; None is what fits.

        Raises:
            LimitReached: it may use more than is left for now.
            BudgetExceeded: it may cost more than is left.
        """
        ...
