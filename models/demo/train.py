"""Trains the demo model and writes its GGUF; resumes from its checkpoint.

    torchrun --nproc-per-node 2 models/demo/train.py \\
        --work build/demo --chat-template template.jinja --minutes 90

`--start-from model.gguf` trains a shipped model further, with long samples from the start.

One process a core: each computes the gradient of its own half of the batch on one thread, which
is faster than two threads in step when the machine has other work.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from batches import TOKENS_PER_BATCH, Feed, Plan, segments
from data import Training
from export import write_gguf
from model import Llama, Shape
from optimizer import optimizers
from restore import read_tokenizer, read_weights
from tokenizer import PromptEncoder, learn
from torch import Tensor
from torch.nn import functional

WARMUP_STEPS = 100
#: The last part of the time, in which the learning rate falls to zero.
DECAY = 0.5
SAVE_EVERY = 180.0
#: From this part of the time on, long samples join.
LATE = 0.5


def learn_tokenizer(path: Path, size: int) -> None:
    """Learns the vocabulary from a sample of the training conversations."""
    training = Training(0, lambda message: len(message.content) // 3 + 6)
    conversations = (training.conversation(n) for _ in range(2000) for n in (256, 256, 512, 1024))
    texts = [s.text for talk in conversations for s in segments(talk) if not s.control]
    learn(texts, size, spaced_words=420).save(str(path))


def loss_of(
    model: Llama, hidden: Callable[[Tensor], Tensor], tokens: Tensor, weights: Tensor
) -> Tensor:
    """Weighted cross entropy, computed at the supervised positions only."""
    targets, weights = tokens[:, 1:], weights[:, 1:]
    chosen = weights > 0
    with torch.autocast("cpu", torch.bfloat16):
        states = hidden(tokens)[:, :-1][chosen]
        logits = model.logits(states)
    losses = functional.cross_entropy(logits.float(), targets[chosen], reduction="none")
    return (losses * weights[chosen]).sum() / weights.sum().clamp_min(1e-6)


def share_gradients(model: Llama) -> None:
    """Averages the gradients of all ranks."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    sizes = [gradient.numel() for gradient in gradients]
    for gradient, mean in zip(gradients, flat.split(sizes), strict=True):
        gradient.copy_(mean.view_as(gradient))


def agreed(seconds: float) -> float:
    """Rank 0's clock, so that all ranks follow one schedule."""
    clock = torch.tensor(seconds, dtype=torch.float64)
    dist.broadcast(clock, 0)
    return clock.item()


def learning_rate_scale(step: int, progress: float) -> float:
    """Warm-up, a plateau, then a straight line to zero at the end of the time."""
    return min(1.0, (step + 1) / WARMUP_STEPS, max(0.02, (1 - progress) / DECAY))


class Trainer:
    """A model in training: its optimizers, its clock and its checkpoint, the same on all ranks."""

    def __init__(self, work: Path, minutes: float, muon_lr: float, adam_lr: float) -> None:
        self.checkpoint = work / "checkpoint.pt"
        self.budget = minutes * 60
        self.model = Llama(Shape())
        self.hidden = torch.compile(self.model.hidden, dynamic=False)
        self.optimizers = optimizers(self.model, muon_lr, adam_lr)
        self.rates = [[group["lr"] for group in o.param_groups] for o in self.optimizers]
        self.steps = 0
        self.spent = 0.0

    @property
    def progress(self) -> float:
        """The part of the time that is spent."""
        return self.spent / self.budget

    def step(self, tokens: Tensor, weights: Tensor) -> float:
        """One update; returns the loss of this rank's batch."""
        began = time.monotonic()
        loss = loss_of(self.model, self.hidden, tokens, weights)
        loss.backward()  # type: ignore[no-untyped-call]
        share_gradients(self.model)
        scale = learning_rate_scale(self.steps, self.progress)
        for optimizer, rates in zip(self.optimizers, self.rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * scale
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        self.spent = agreed(self.spent + time.monotonic() - began)
        return loss.item()

    def resume(self) -> None:
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.steps, self.spent = state["steps"], state["spent"]

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "steps": self.steps,
            "spent": self.spent,
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="checkpoints and exports go here")
    parser.add_argument("--chat-template", type=Path, required=True, help="embedded in the GGUF")
    parser.add_argument("--start-from", type=Path, help="a GGUF of this model to train further")
    parser.add_argument("--minutes", type=float, default=90, help="training time in all")
    parser.add_argument("--copies", type=int, default=300, help="early batches of random copies")
    parser.add_argument("--muon-lr", type=float, default=0.015)
    parser.add_argument("--adam-lr", type=float, default=0.002)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    dist.init_process_group("gloo")
    rank = dist.get_rank()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    arguments.work.mkdir(parents=True, exist_ok=True)
    vocabulary = arguments.work / "tokenizer.json"
    if rank == 0 and not vocabulary.exists():
        if arguments.start_from:
            read_tokenizer(arguments.start_from).save(str(vocabulary))
        else:
            learn_tokenizer(vocabulary, Shape().vocab)
    dist.barrier()
    tokenizer = PromptEncoder(vocabulary).tokenizer
    template = arguments.chat_template.read_text(encoding="utf-8")
    trainer = Trainer(arguments.work, arguments.minutes, arguments.muon_lr, arguments.adam_lr)
    if arguments.start_from:
        read_weights(arguments.start_from, trainer.model)
    trainer.resume()

    def save() -> None:
        if rank == 0:
            trainer.save()
            write_gguf(arguments.work / "latest.gguf", trainer.model, tokenizer, template)

    def new_feed() -> Feed:
        begun = bool(trainer.steps or arguments.start_from)
        copies = 0 if begun else arguments.copies
        late = bool(arguments.start_from) or trainer.progress >= LATE
        return Feed(Plan(vocabulary, arguments.seed + trainer.steps, rank, copies, late))

    feed, saved, mean_loss = new_feed(), trainer.spent, 0.0
    while trainer.progress < 1:
        if trainer.progress >= LATE and not feed.late:
            feed.close()
            feed = new_feed()
        began = time.monotonic()
        loss = trainer.step(*feed.next())
        mean_loss = 0.98 * mean_loss + 0.02 * loss if mean_loss else loss
        if rank == 0 and trainer.steps % 50 == 0:
            speed = TOKENS_PER_BATCH * dist.get_world_size() / (time.monotonic() - began)
            minutes = trainer.spent / 60
            print(
                f"step {trainer.steps}: {minutes:.1f} min, loss {mean_loss:.4f}, {speed:.0f} tok/s"
            )
        if trainer.spent - saved > SAVE_EVERY:
            save()
            saved = trainer.spent
    save()
    feed.close()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
