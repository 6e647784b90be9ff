"""Batches of conversations, made by a process of their own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from data import Conversation, Training
from numpy.typing import NDArray
from prompt import Message, Segment, opening, turn
from tokenizer import PromptEncoder
from torch import Tensor

Batch = tuple[NDArray[np.int64], NDArray[np.float32]]

TOKENS_PER_BATCH = 2048
#: Shares of the sample lengths: at first, and later, when long contexts join.
LENGTHS = {256: 0.5, 384: 0.15, 512: 0.35}
LATE_LENGTHS = {256: 0.28, 384: 0.05, 512: 0.27, 1024: 0.26, 2048: 0.14}


def segments(conversation: Conversation) -> Iterator[Segment]:
    messages = list(conversation.messages)
    system = messages.pop(0).content if messages and messages[0].role == "system" else ""
    yield from opening(system, conversation.tools)
    for index, message in enumerate(messages):
        yield from turn(message, conversation.tools if index == 0 else None)


def answer_weights(spoken: list[bool]) -> list[float]:
    """Each of an answer's n tokens weighs 1/√n, so that long counts do not drown the rest."""
    weights = [0.0] * len(spoken)
    start = None
    for index, now in enumerate([*spoken, False]):
        if now and start is None:
            start = index
        elif not now and start is not None:
            weights[start:index] = [(index - start) ** -0.5] * (index - start)
            start = None
    return weights


class Batches:
    """Draws batches: tokens [rows, length] and the loss weight of predicting each."""

    def __init__(self, encoder: PromptEncoder, seed: int) -> None:
        self.encoder = encoder
        self.rng = Random(seed)
        self.training = Training(seed, self._length)

    def _length(self, message: Message) -> int:
        return len(self.encoder.text(message.content)) + 6

    def conversations(self, length: int) -> Batch:
        rows = TOKENS_PER_BATCH // length
        tokens = np.zeros((rows, length), np.int64)
        weights = np.zeros((rows, length), np.float32)
        for row in range(rows):
            ids, spoken = self.encoder.encode(segments(self.training.conversation(length)))
            size = min(len(ids), length)
            tokens[row, :size] = ids[:size]
            weights[row, :size] = answer_weights(spoken)[:size]
        return tokens, weights

    def copies(self, length: int) -> Batch:
        """Random tokens said again and again: what teaches attention heads to copy."""
        rows = TOKENS_PER_BATCH // length
        size = self.encoder.control["<|begin_of_text|>"]
        tokens = np.zeros((rows, length), np.int64)
        weights = np.zeros((rows, length), np.float32)
        for row in range(rows):
            period = self.rng.randint(8, length // 2)
            pattern = [self.rng.randrange(size) for _ in range(period)]
            tokens[row] = (pattern * (length // period + 1))[:length]
            weights[row, period:] = 1.0
        return tokens, weights


@dataclass(frozen=True)
class Plan:
    """What a generator process should make; lengths agree between ranks, contents do not."""

    tokenizer: Path
    seed: int
    rank: int
    copies: int
    late: bool


def feed(queue: multiprocessing.Queue[Batch], plan: Plan) -> None:
    """The generator process: batches of copying mixed in first, then conversations."""
    batches = Batches(PromptEncoder(plan.tokenizer), 2 * plan.seed + plan.rank)
    choice = Random(plan.seed)
    lengths = LATE_LENGTHS if plan.late else LENGTHS
    copies = plan.copies
    while True:
        if copies > 0 and choice.random() < 0.5:
            copies -= 1
            queue.put(batches.copies(256))
            continue
        length = choice.choices(list(lengths), list(lengths.values()))[0]
        queue.put(batches.conversations(length))


class Feed:
    """Batches made by a process of their own."""

    def __init__(self, plan: Plan) -> None:
        self.late = plan.late
        self.queue: multiprocessing.Queue[Batch] = multiprocessing.Queue(maxsize=16)
        self.process = multiprocessing.Process(target=feed, args=(self.queue, plan), daemon=True)
        self.process.start()

    def next(self) -> tuple[Tensor, Tensor]:
        tokens, weights = self.queue.get()
        return torch.from_numpy(tokens), torch.from_numpy(weights)

    def close(self) -> None:
        self.process.terminate()
