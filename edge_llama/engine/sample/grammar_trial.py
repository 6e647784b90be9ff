"""GrammarTrial: whether a grammar can be compiled within limits of time and memory."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence

from edge_llama.engine.sample.grammar_trial_worker import MEMORY_LIMIT, TIME_LIMIT
from edge_llama.errors import InvalidValue
from edge_llama.process.limited_child import LimitedChild

MAX_PASSED = 256
"""Grammars that are known to pass; clients send the same ones again."""


class GrammarTrial:
    """Compiles grammars in a child process, which costs a millisecond and saves the engine.

    The child is started with the first grammar, and again when it ran into a limit.

    Args:
        control: spellings of the control tokens.
    """

    def __init__(self, control: Sequence[str]) -> None:
        self._setup = json.dumps(list(control)).encode()
        self._passed: OrderedDict[bytes, None] = OrderedDict()
        self._child: LimitedChild | None = None

    def check(self, source: str, param: str) -> None:
        """Try a grammar in llguidance's own format. Blocks for at most the time limit.

        Args:
            source: the grammar.
            param: what the request calls it.

        Raises:
            InvalidValue: it ran into a limit.
        """
        digest = hashlib.sha256(source.encode()).digest()
        if digest not in self._passed:
            self._try(source, param)
        self._passed[digest] = self._passed.pop(digest, None)
        if len(self._passed) > MAX_PASSED:
            self._passed.popitem(last=False)

    def _try(self, source: str, param: str) -> None:
        child = self._child
        try:
            if child is None or not child.alive:
                child = self._start()
        except OSError as error:
            reason = error.strerror or str(error)
            raise InvalidValue(
                f"{param} cannot be compiled at the moment: {reason}.", param=param
            ) from None
        if child.ask(json.dumps(source).encode()) is None:
            raise InvalidValue(
                f"{param} takes more than {TIME_LIMIT:g} s or {MEMORY_LIMIT >> 20} MB to compile. "
                "Make it simpler.",
                param=param,
            )

    def _start(self) -> LimitedChild:
        child = self._child = LimitedChild("edge_llama.engine.sample.grammar_trial_worker")
        child.ask(self._setup)
        return child
