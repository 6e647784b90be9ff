"""Arrivals: commands about a prompt, on their way to an answer."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge_llama.engine.protocol.grammar import Grammar
from edge_llama.engine.protocol.prompt import prompt_size
from edge_llama.engine.protocol.wire import (
    Accepted,
    Refusal,
    Refused,
    Submit,
    Tokenize,
    Tokenized,
)
from edge_llama.engine.sequence import Sequence
from edge_llama.engine.worker.intake import Intake
from edge_llama.errors import ContextLengthExceeded, InvalidValue


class Arrival:
    """A request between its command and the step loop: what is known of it so far.

    ```
    Submit ─→ tokenize ─→ make_sequences ─→ Accepted, and sequences for the step loop
                 └──────────────┴─────────→ Refused
    ```

    Args:
        command: asks for it.
        intake: checks it and makes its sequences.

    Attributes:
        id: of the request.
        sequences: once they are made.
    """

    def __init__(self, command: Submit, intake: Intake) -> None:
        self.id = command.id
        self.sequences: list[Sequence] = []
        self._request = command.request
        self._intake = intake
        self._arrived = time.perf_counter()
        self._token_ids: list[int] = []
        self._refusal: Refusal | None = None

    @property
    def prompt_size(self) -> int:
        """How much there is to tokenize."""
        return prompt_size(self._request.prompt)

    @property
    def grammar(self) -> Grammar | None:
        """What is to be compiled, if it is not refused already."""
        return None if self._refusal is not None else self._request.options.grammar

    def tokenize(self) -> None:
        try:
            self._token_ids = self._intake.read(self._request)
        except (InvalidValue, ContextLengthExceeded) as error:
            self._refusal = error

    def make_sequences(self) -> None:
        """Compile the grammar, if there is one, and make the sequences, unless it is refused."""
        if self._refusal is not None:
            return
        try:
            self.sequences = self._intake.sequences(
                self.id, self._request, self._token_ids, self._arrived
            )
        except InvalidValue as error:
            self._refusal = error

    @property
    def answer(self) -> Accepted | Refused:
        """What the client is told, once the sequences are made."""
        if self._refusal is not None:
            return Refused.of(self.id, self._refusal)
        return Accepted(self.id, len(self._token_ids))


class Question:
    """A prompt whose tokens are asked for.

    Args:
        command: asks for them.
        intake: finds them.
        piece: the bytes of a token.

    Attributes:
        id: of the question.
        answer: once it is tokenized.
    """

    def __init__(self, command: Tokenize, intake: Intake, piece: Callable[[int], bytes]) -> None:
        self.id = command.id
        self.answer: Tokenized | Refused
        self._prompt = command.prompt
        self._intake = intake
        self._piece = piece

    @property
    def prompt_size(self) -> int:
        """How much there is to tokenize."""
        return prompt_size(self._prompt)

    def tokenize(self) -> None:
        try:
            tokens = self._intake.tokenize(self._prompt)
        except InvalidValue as error:
            self.answer = Refused.of(self.id, error)
        else:
            self.answer = Tokenized.of(self.id, tokens, self._piece)
