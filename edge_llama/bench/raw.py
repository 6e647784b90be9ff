"""The raw loop: `llama_decode` and `llama_sampler_sample`, with nothing around them.

It runs in a process of its own, so that it shares neither threads nor memory with what it is
compared with.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
import time
from multiprocessing.connection import Connection
from typing import Any

from edge_llama.bench.scenarios import SAMPLING, Scenario, Stream, ordinary_ids, prompt_ids
from edge_llama.config import EngineSettings
from edge_llama.engine import binding
from edge_llama.engine.loading import open_context, open_model
from edge_llama.engine.sampler import Sampler
from edge_llama.errors import EdgeLlamaError, EngineDied


class RawLoop:
    """The model and the context that the engine would make of the same settings.

    Attributes:
        context: where the sequences 0, 1, 2… of a load live while it runs.

    Raises:
        ModelFileError: the model cannot be loaded.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._model = open_model(settings)
        self.context = open_context(settings, self._model)
        self._batch = binding.Batch(settings.batch_size)
        vocab = self._model.vocab
        self._sampler = Sampler(SAMPLING, vocab, prompt=(), window=0)
        self._ordinary = ordinary_ids(vocab.n_tokens, list(vocab.control_tokens.values()))

    def run(self, scenario: Scenario, seed: int) -> list[Stream]:
        """Prefill one prompt after the other, then decode all sequences together."""
        prompts = prompt_ids(scenario, seed, self._ordinary)
        start = time.perf_counter()
        tokens, firsts = [], []
        for seq_id, prompt in enumerate(prompts):
            tokens.append(self._prefill(seq_id, prompt))
            firsts.append(time.perf_counter() - start)
        for step in range(scenario.output_tokens - 1):
            tokens = self._decode(tokens, scenario.prompt_tokens + step)
        last = time.perf_counter() - start
        for seq_id in range(scenario.clients):
            self.context.remove(seq_id)
        return [
            Stream(scenario.prompt_tokens, 0, scenario.output_tokens, first, last)
            for first in firsts
        ]

    def close(self) -> None:
        """Free sampler, context and model."""
        self._sampler.close()
        self.context.close()
        self._model.close()

    def _prefill(self, seq_id: int, prompt: tuple[int, ...]) -> int:
        for start in range(0, len(prompt), self._batch.size):
            chunk = prompt[start : start + self._batch.size]
            self._batch.clear()
            index = self._batch.add(chunk, start, seq_id, n_outputs=1)
            self._compute()
        return self._sampler.sample(self.context, index)

    def _decode(self, tokens: list[int], position: int) -> list[int]:
        self._batch.clear()
        for seq_id, token in enumerate(tokens):
            self._batch.add([token], position, seq_id, n_outputs=1)
        self._compute()
        return [self._sampler.sample(self.context, index) for index in range(len(tokens))]

    def _compute(self) -> None:
        status = self.context.decode(self._batch)
        if status is not binding.DecodeStatus.OK:
            raise binding.DecodeError(f"llama_decode returned {status.name}")


def serve_raw(connection: Connection, settings: EngineSettings) -> None:
    """The child's main: answers (scenario, seed) with streams until the parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    binding.init_backend()
    try:
        loop = RawLoop(settings)
    except EdgeLlamaError as error:
        connection.send(error)
        return
    connection.send(None)
    while True:
        try:
            scenario, seed = connection.recv()
        except EOFError:
            return
        connection.send(loop.run(scenario, seed))


class RawTarget:
    """The raw loop in its child process."""

    name = "raw"

    def __init__(self, settings: EngineSettings) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, self._theirs = context.Pipe()
        self._process = context.Process(
            target=serve_raw, args=(self._theirs, settings), name="edge-llama-raw", daemon=True
        )

    async def __aenter__(self) -> RawTarget:
        self._process.start()
        self._theirs.close()
        try:
            error = await self._receive()
            if isinstance(error, EdgeLlamaError):
                raise error
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        # There is nothing to save, and a thread may be waiting for its answer.
        self._process.terminate()
        await asyncio.to_thread(self._process.join)
        self._connection.close()

    async def run(self, scenario: Scenario, seed: int) -> list[Stream]:
        """One run of a load.

        Raises:
            EngineDied: the child ended.
        """
        with contextlib.suppress(OSError):  # the child has ended; receiving tells how
            self._connection.send((scenario, seed))
        streams: list[Stream] = await self._receive()
        return streams

    async def _receive(self) -> Any:
        try:
            return await asyncio.to_thread(self._connection.recv)
        except EOFError:
            await asyncio.to_thread(self._process.join)
            raise EngineDied(
                f"The raw loop's process ended with code {self._process.exitcode}."
            ) from None
