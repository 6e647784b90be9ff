"""Trains the demo model and writes its GGUF; resumes from its checkpoint.

    torchrun --nproc-per-node 2 models/demo/train.py \\
        --work build/demo --chat-template template.jinja --minutes 75

One process a core: each computes the gradient of its own half of the batch on one thread, which
is faster than two threads in step when the machine has other work.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
import torch.distributed as dist
from batches import TOKENS_PER_BATCH, Feed, Plan, segments
from data import Training
from export import write_gguf
from model import Llama, Shape
from optimizer import optimizers
from tokenizer import PromptEncoder, learn
from torch.nn import functional

WARMUP_STEPS = 100
#: The last part of the time, in which the learning rate falls to zero.
DECAY = 0.3
#: From this part of the time on, long samples join.
LATE = 0.5


def learn_tokenizer(path: Path, size: int) -> None:
    """Learns the vocabulary from a sample of the training conversations."""
    training = Training(0, lambda message: len(message.content) // 3 + 6)
    conversations = (training.conversation(n) for _ in range(2000) for n in (256, 256, 512, 1024))
    texts = [s.text for talk in conversations for s in segments(talk) if not s.control]
    learn(texts, size, spaced_words=420).save(str(path))


def loss_of(
    model: Llama, hidden: object, tokens: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="checkpoints and exports go here")
    parser.add_argument("--chat-template", type=Path, required=True, help="embedded in the GGUF")
    parser.add_argument("--minutes", type=float, default=75, help="training time in all")
    parser.add_argument("--copies", type=int, default=300, help="early batches of random copies")
    parser.add_argument("--muon-lr", type=float, default=0.02)
    parser.add_argument("--adam-lr", type=float, default=0.004)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    dist.init_process_group("gloo")
    rank = dist.get_rank()
    torch.set_num_threads(1)
    arguments.work.mkdir(parents=True, exist_ok=True)
    tokenizer = arguments.work / "tokenizer.json"
    if rank == 0 and not tokenizer.exists():
        learn_tokenizer(tokenizer, Shape().vocab)
    dist.barrier()
    encoder = PromptEncoder(tokenizer)
    template = arguments.chat_template.read_text(encoding="utf-8")

    torch.manual_seed(arguments.seed)
    model = Llama(Shape())
    optims = optimizers(model, arguments.muon_lr, arguments.adam_lr)
    base_rates = [[group["lr"] for group in optim.param_groups] for optim in optims]
    checkpoint = arguments.work / "checkpoint.pt"
    step, spent = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        for optim, saved in zip(optims, state["optimizers"], strict=True):
            optim.load_state_dict(saved)
        step, spent = state["step"], state["spent"]
    hidden = torch.compile(model.hidden, dynamic=False)

    def save() -> None:
        partial = checkpoint.with_suffix(".partial")
        torch.save(
            {
                "model": model.state_dict(),
                "optimizers": [optim.state_dict() for optim in optims],
                "step": step,
                "spent": spent,
            },
            partial,
        )
        partial.replace(checkpoint)
        write_gguf(arguments.work / "latest.gguf", model, encoder.tokenizer, template)

    budget = arguments.minutes * 60
    late = spent / budget >= LATE
    copies = arguments.copies if step == 0 else 0
    source = Feed(Plan(tokenizer, arguments.seed + step, rank, copies, late))
    running, saved_at = 0.0, time.monotonic()
    while spent < budget:
        began = time.monotonic()
        if not late and spent / budget >= LATE:
            late = True
            source.close()
            source = Feed(Plan(tokenizer, arguments.seed + step, rank, 0, late))
        loss = loss_of(model, hidden, *source.next())
        loss.backward()  # type: ignore[no-untyped-call]
        share_gradients(model)
        scale = learning_rate_scale(step, spent / budget)
        for optim, rates in zip(optims, base_rates, strict=True):
            for group, rate in zip(optim.param_groups, rates, strict=True):
                group["lr"] = rate * scale
            optim.step()
            optim.zero_grad(set_to_none=True)
        step += 1
        spent = agreed(spent + time.monotonic() - began)
        running = 0.98 * running + 0.02 * loss.item() if step > 1 else loss.item()
        if rank == 0 and step % 50 == 0:
            speed = TOKENS_PER_BATCH * dist.get_world_size() / (time.monotonic() - began)
            print(
                f"step {step} {spent / 60:.1f} min loss {running:.4f} {speed:.0f} tok/s", flush=True
            )
        if rank == 0 and time.monotonic() - saved_at > 180:
            save()
            saved_at = time.monotonic()
    if rank == 0:
        save()
    source.close()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
