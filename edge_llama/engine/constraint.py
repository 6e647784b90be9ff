"""Constraint: which tokens may come next."""

from __future__ import annotations

from typing import Protocol

from edge_llama.engine.binding import FloatArray


class ConstraintError(Exception):
    """Nothing can follow, or llguidance ran into a limit when it looked for what could."""


class Constraint(Protocol):
    """What one output must look like: what was said of it so far, and what may follow."""

    @property
    def complete(self) -> bool:
        """Nothing but the end can follow."""
        ...

    def copy(self) -> Constraint:
        """The same for another output; it goes on from here by itself."""
        ...

    def forced(self) -> list[int]:
        """The tokens that must follow, cut as the model's tokenizer would; they are accepted.

        Raises:
            ConstraintError: nothing can follow.
        """
        ...

    def mask(self, logits: FloatArray) -> bool:
        """Set the logits of tokens that cannot follow to minus infinity, in place.

        Args:
            logits: shape (n_vocab,).

        Returns:
            Whether anything but the end of the output can follow.

        Raises:
            ConstraintError: not even that can.
        """
        ...

    def accept(self, token: int) -> bool:
        """Go on after a token that the last mask left.

        Returns:
            Whether it can follow after all; if not, nothing has changed.

        Raises:
            ConstraintError: nothing can follow.
        """
        ...
