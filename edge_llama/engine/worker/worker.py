"""The engine process: a command thread that reads stdin, and the step loop.

```
 stdin ──→ command thread ── sequences, aborts ──→ queue ──→ step loop ──→ stdout
                │  tokenizes and checks; answers Accepted or Refused itself ──↗
                ├─ long prompts are tokenized in a thread of their own
                ├─ requests with a grammar go through the compile thread first
                └─ end of stdin: nobody asks any more; this process saves what it may and ends
```
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import BinaryIO, TypeAlias

import msgspec

from edge_llama.engine.protocol.frames import encode_frame, read_frame
from edge_llama.engine.protocol.output import Output
from edge_llama.engine.protocol.wire import (
    Abort,
    Command,
    Event,
    GetStats,
    LoadFailed,
    LoadModel,
    Pause,
    Ready,
    Refused,
    Stats,
    StepOutputs,
    Tokenize,
)
from edge_llama.engine.sequence import Sequence
from edge_llama.engine.worker.arrival import Arrival, Question
from edge_llama.engine.worker.lane import Lane
from edge_llama.engine.worker.loading import LoadedEngine, thread_counts
from edge_llama.engine.worker.protection import limit_memory
from edge_llama.errors import EdgeLlamaError, EngineStartError, InvalidValue
from edge_llama.process.child import live_with_parent
from edge_llama.process.limits import threads_start, told_limits
from edge_llama.settings.engine import EngineSettings

logger = logging.getLogger("edge_llama.engine")

STALL = 0.05
"""Seconds between two looks at requests that wait for the disk and nothing else."""

SAVE_SECONDS = 1.5
"""How long the end of this process may wait for what is not on disk yet."""

ABORT_SECONDS = 0.5
"""How long an interrupted step may take to end."""

LONG_PROMPT = 16 * 1024
"""Characters, or token ids, from which on a prompt is read beside the commands: a megabyte that is
no language takes seconds.
"""

TOKENIZING_STACK = 512 * 1024 * 1024
"""Bytes of address space, not of memory, for each thread that tokenizes: some vocabularies are
split by std::regex, which recurses once per character of a long word.
"""

SPARE_THREADS = 4
"""That must start besides those of llama.cpp: for prompts, forms and the disk."""

Inbox: TypeAlias = queue.SimpleQueue[list[Sequence] | Abort | Pause | None]
"""What other threads tell the step loop; None only wakes it."""


class Pipe:
    """Sends events; safe to use from both threads."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._encoder = msgspec.msgpack.Encoder()
        self._lock = threading.Lock()

    def send(self, event: Event) -> None:
        frame = encode_frame(self._encoder.encode(event))
        try:
            with self._lock:
                self._stream.write(frame)
                self._stream.flush()
        except OSError:
            os._exit(0)  # the parent is gone


class Worker:
    """Serves one loaded model over a pair of pipes until the parent goes.

    Args:
        engine: the model.
        inbox: where the engine tells that there is something to go on with.
        pipe: to the parent.
    """

    def __init__(self, engine: LoadedEngine, inbox: Inbox, pipe: Pipe) -> None:
        self._engine = engine
        self._core = engine.core
        self._pipe = pipe
        self._inbox = inbox
        self._stopping = False
        self._long_prompts = Lane[Arrival | Question](_tokenize, self._tokenized)
        self._grammars = Lane[Arrival](Arrival.make_sequences, self._settle)
        _start("tokenizing", self._long_prompts.run, TOKENIZING_STACK)
        _start("compile", self._grammars.run)

    def handle(self, command: Command) -> None:
        """Take a command in; called by the command thread."""
        if isinstance(command, Abort):
            self._abort(command)
        elif isinstance(command, Pause):
            self._inbox.put(command)
        elif isinstance(command, Tokenize):
            self._read(Question(command, self._engine.intake, self._engine.piece))
        elif isinstance(command, GetStats):
            # Here, so that it need not wait for a step, nor wake the loop.
            self._pipe.send(Stats(command.id, self._core.stats()))
        else:
            self._read(Arrival(command, self._engine.intake))

    def stop(self) -> None:
        """Have `run` return after the current step, which is interrupted; from any thread."""
        self._stopping = True
        self._engine.abort_flag.set()
        self._inbox.put(None)

    def run(self) -> None:
        """The step loop, until `stop`. Sleeps while there is nothing to do."""
        while True:
            # Cleared before the inbox is read: an abort that comes later sets it again.
            self._engine.abort_flag.clear()
            outputs = self._take_commands()
            if self._stopping:
                break
            outputs += self._core.step()
            if outputs:
                self._pipe.send(StepOutputs(tuple(outputs)))
        self._core.save_all(SAVE_SECONDS)

    def _read(self, arrival: Arrival | Question) -> None:
        """Tokenize a prompt: here, or in a thread of its own if that takes long."""
        size = arrival.prompt_size
        if size < LONG_PROMPT:
            arrival.tokenize()
            self._tokenized(arrival)
        else:
            self._long_prompts.put(arrival, size)

    def _tokenized(self, arrival: Arrival | Question) -> None:
        if isinstance(arrival, Question):
            self._pipe.send(arrival.answer)
        elif (grammar := arrival.grammar) is not None:
            self._grammars.put(arrival, len(grammar.text))
        else:
            arrival.make_sequences()
            self._settle(arrival)

    def _settle(self, arrival: Arrival) -> None:
        """Tell what became of a request, and run it if it is accepted."""
        self._pipe.send(arrival.answer)
        if arrival.sequences:
            self._inbox.put(arrival.sequences)

    def _abort(self, command: Abort) -> None:
        if self._long_prompts.abort(command.id) or self._grammars.abort(command.id):
            error = InvalidValue("The request was aborted.", param=None)
            self._pipe.send(Refused.of(command.id, error))
            return
        self._inbox.put(command)
        if command.index is None and command.id == self._core.prefilling:
            self._engine.abort_flag.set()

    def _take_commands(self) -> list[Output]:
        outputs: list[Output] = []
        if self._core.idle:
            with suppress(queue.Empty):
                outputs += self._take(self._inbox.get(timeout=self._patience()))
        while not self._inbox.empty():
            outputs += self._take(self._inbox.get())
        return outputs

    def _patience(self) -> float | None:
        """Seconds to wait for something new; None is for ever."""
        return STALL if self._core.has_work else None

    def _take(self, item: list[Sequence] | Abort | Pause | None) -> list[Output]:
        if isinstance(item, Abort):
            return self._core.abort(item.id, item.index)
        if isinstance(item, Pause):
            self._core.pause(item.id, item.paused)
        elif item is not None:
            self._core.add(item)
        return []


def main() -> None:
    """Entry of the engine process. Exit code 1: the model could not be loaded."""
    live_with_parent()
    logging.basicConfig(
        stream=sys.stderr,
        level=os.environ.get("EDGE_LLAMA_LOG_LEVEL", "WARNING").upper(),
        format="%(levelname)s %(name)s: %(message)s",
    )
    stdin, stdout = _take_over_stdio()
    pipe = Pipe(stdout)
    load = read_frame(stdin)
    if load is None:
        return
    settings = msgspec.msgpack.decode(load, type=LoadModel).settings
    loaded: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    try:
        _start("command", partial(_read_commands, stdin, loaded), TOKENIZING_STACK)
    except EngineStartError as error:
        pipe.send(LoadFailed(str(error)))
        sys.exit(1)
    limit_memory(settings.memory_limit, 2 * TOKENIZING_STACK)
    worker = _load(settings, pipe)
    if worker is None:
        sys.exit(1)
    loaded.put(worker)
    worker.run()
    os._exit(0)


def _load(settings: EngineSettings, pipe: Pipe) -> Worker | None:
    """The worker of a model, once all its threads run and it has computed a token."""
    inbox: Inbox = queue.SimpleQueue()
    try:
        if not threads_start(max(thread_counts(settings)) + SPARE_THREADS):
            raise _no_threads()
        engine = LoadedEngine(settings, on_progress=partial(inbox.put, None))
        worker = Worker(engine, inbox, pipe)
        engine.try_out()
    except EdgeLlamaError as error:
        pipe.send(LoadFailed(str(error)))
        return None
    pipe.send(Ready(engine.info))
    return worker


def _tokenize(arrival: Arrival | Question) -> None:
    arrival.tokenize()


def _read_commands(stdin: BinaryIO, loaded: queue.SimpleQueue[Worker]) -> None:
    """The command thread; runs while the model loads, so that a dead parent is seen then too."""
    decoder = msgspec.msgpack.Decoder(Command)
    worker: Worker | None = None
    while (frame := read_frame(stdin)) is not None:
        worker = worker or loaded.get()
        worker.handle(decoder.decode(frame))
    if worker is not None:
        worker.stop()
        time.sleep(SAVE_SECONDS + ABORT_SECONDS)
    os._exit(0)


def _start(name: str, run: Callable[[], None], stack_size: int = 0) -> None:
    """Start a thread without which the engine is of no use: when it fails, the process ends.

    Args:
        stack_size: bytes; 0 is the system's default.

    Raises:
        EngineStartError: the system refuses another thread.
    """

    def run_or_end() -> None:
        try:
            run()
        except Exception:
            logger.exception("The %s thread failed; the engine ends.", name)
            os._exit(3)

    threading.stack_size(stack_size)
    try:
        threading.Thread(target=run_or_end, daemon=True).start()
    except RuntimeError:
        raise _no_threads() from None
    finally:
        threading.stack_size(0)


def _no_threads() -> EngineStartError:
    limits = told_limits()
    cause = f"The limits are {limits}." if limits else "A container may limit them (pids.max)."
    return EngineStartError(
        f"The system lets the engine start too few threads. {cause} Raise what is too low, or "
        "choose fewer `threads`."
    )


def _take_over_stdio() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes; stray prints of native code go to stderr from here on."""
    stdin = os.fdopen(os.dup(0), "rb")
    stdout = os.fdopen(os.dup(1), "wb")
    devnull = os.open(os.devnull, os.O_RDONLY)
    os.dup2(devnull, 0)
    os.close(devnull)
    os.dup2(2, 1)
    return stdin, stdout
