"""CompileQueue: requests with a grammar, compiled beside everything else."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple, TypeAlias

from edge_llama.engine.grammar import Grammar
from edge_llama.engine.messages import Refusal
from edge_llama.engine.sequence import Sequence
from edge_llama.errors import InvalidValue

SECONDS = 1.0
"""How long a client waits for a grammar to be compiled."""

Result: TypeAlias = list[Sequence] | Refusal


class _Item(NamedTuple):
    size: int
    id: int
    grammar: Grammar
    accept: Callable[[], list[Sequence]]


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
        self._waiting: queue.PriorityQueue[_Item] = queue.PriorityQueue()
        self._pending: set[int] = set()
        self._lock = threading.Lock()

    def put(self, id: int, grammar: Grammar, accept: Callable[[], list[Sequence]]) -> None:
        """Have a request settled.

        Args:
            id: of the request; no two are equal.
            grammar: of the request.
            accept: compiles it; raises InvalidValue.
        """
        with self._lock:
            self._pending.add(id)
        self._waiting.put(_Item(len(grammar.text), id, grammar, accept))

    def abort(self, id: int) -> bool:
        """Forget a request. Returns whether it was still here; then it is not settled."""
        with self._lock:
            pending = id in self._pending
            self._pending.discard(id)
        return pending

    def run(self) -> None:
        """Work for ever."""
        with ThreadPoolExecutor(1) as pool:
            while True:
                item = self._waiting.get()
                if item.id in self._pending:
                    pool.submit(self._prepare).result()
                    self._compile(item, pool.submit(item.accept))

    def _compile(self, item: _Item, compiling: Future[list[Sequence]]) -> None:
        if not wait([compiling], SECONDS).done:
            param = item.grammar.param
            error = InvalidValue(
                f"{param} takes longer than {SECONDS:.0f} s to compile. Make it simpler.",
                param=param,
            )
            self._finish(item.id, error)
        try:
            self._finish(item.id, compiling.result())
        except InvalidValue as error:
            self._finish(item.id, error)

    def _finish(self, id: int, result: Result) -> None:
        # An abort comes before this and is heeded, or after it and finds the request settled.
        with self._lock:
            if id in self._pending:
                self._pending.discard(id)
                self._settle(id, result)
