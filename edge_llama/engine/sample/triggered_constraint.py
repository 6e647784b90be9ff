"""TriggeredConstraint: free text, until something in it begins a form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edge_llama.engine.binding import FloatArray
from edge_llama.engine.sample.grammar_constraint import GrammarConstraint
from edge_llama.engine.sample.triggers import START, Begun, Triggers


@dataclass(slots=True)
class TriggeredConstraint:
    """An output that is free until a trigger, and follows a grammar from there on.

    What is free needs no grammar: nearly all tokens may follow at each place, and to find that out
    anew costs a walk through the vocabulary, ever longer with the number of triggers.

    Attributes:
        triggers: texts that begin the form.
        control: ids of the control tokens that begin it, too.
        form: at the beginning of the form.
        forbidden: shape (n_vocab,); the tokens that no free text has.
        piece: the bytes of a token.
    """

    triggers: Triggers
    control: frozenset[int]
    form: GrammarConstraint
    forbidden: npt.NDArray[np.bool_]
    piece: Callable[[int], bytes]
    _begun: Begun = START
    _running: GrammarConstraint | None = None

    def copy(self) -> TriggeredConstraint:
        return replace(self, _running=self._running and self._running.copy())

    @property
    def complete(self) -> bool:
        return self._running is not None and self._running.complete

    def forced(self) -> list[int]:
        return [] if self._running is None else self._running.forced()

    def mask(self, logits: FloatArray) -> bool:
        if self._running is not None:
            return self._running.mask(logits)
        np.copyto(logits, -np.inf, where=self.forbidden)
        return True

    def accept(self, token: int) -> bool:
        if self._running is not None:
            return self._running.accept(token)
        if token in self.control:
            self._running = self.form.copy()
            return self._running.accept(token)
        begun, trigger, rest = self.triggers.read(self._begun, self.piece(token))
        if trigger is not None:
            # A token may go on beyond the trigger, where not everything can follow.
            form = self.form.copy()
            if not form.read(trigger.read.encode() + rest):
                return False
            self._running = form
        self._begun = begun
        return True
