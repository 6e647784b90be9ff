"""CompileQueue: requests with a grammar, compiled beside everything else."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import TypeAlias

from edge_llama.engine.grammar import Grammar
from edge_llama.engine.lane import Lane
from edge_llama.engine.messages import Refusal
from edge_llama.engine.sequence import Sequence
from edge_llama.errors import InvalidValue

SECONDS = 1.0
"""How long a client waits for a grammar to be compiled."""

Result: TypeAlias = list[Sequence] | Refusal


class CompileQueue:
    """Has grammars compiled one at a time, short ones first, and gives up on those that take long.

    Native code cannot be interrupted: what was given up on ends by itself, and holds up the next
    one until then, but neither its client nor the steps.

    Args:
        prepare: makes what all grammars need; only its first call takes long.
        settle: takes the id of a request and what became of it, unless it was aborted.
    """

    def __init__(self, prepare: Callable[[], None], settle: Callable[[int, Result], None]) -> None:
        self._prepare = prepare
        self._settle = settle
        self._lane = Lane()
        self._pool = ThreadPoolExecutor(1)

    def put(self, id: int, grammar: Grammar, accept: Callable[[], list[Sequence]]) -> None:
        """Have a request settled.

        Args:
            id: of the request; no two are equal.
            grammar: of the request.
            accept: compiles it; raises InvalidValue.
        """
        self._lane.put(id, len(grammar.text), partial(self._compile, id, grammar, accept))

    def abort(self, id: int) -> bool:
        """Forget a request. Returns whether it was still here; then it is not settled."""
        return self._lane.abort(id)

    def run(self) -> None:
        """Work for ever."""
        self._lane.run()

    def _compile(self, id: int, grammar: Grammar, accept: Callable[[], list[Sequence]]) -> None:
        self._pool.submit(self._prepare).result()
        compiling = self._pool.submit(accept)
        if not wait([compiling], SECONDS).done:
            param = grammar.param
            error = InvalidValue(
                f"{param} takes longer than {SECONDS:.0f} s to compile. Make it simpler.",
                param=param,
            )
            self._finish(id, error)
        try:
            self._finish(id, compiling.result())
        except InvalidValue as error:
            self._finish(id, error)

    def _finish(self, id: int, result: Result) -> None:
        self._lane.settle(id, partial(self._settle, id, result))
