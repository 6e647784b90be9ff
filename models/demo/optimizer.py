"""Muon for matrices, AdamW for the rest."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor, nn


def orthogonalise(update: Tensor) -> Tensor:
    """Five Newton-Schulz steps towards the nearest semi-orthogonal matrices [n, rows, columns].

    Coefficients: Keller Jordan, Muon (2024).
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = update.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / (x.float().norm(dim=(1, 2), keepdim=True) + 1e-7).bfloat16()
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(update.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum whose step is orthogonalised; matrices of one shape are handled together."""

    def __init__(
        self, matrices: list[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.05
    ) -> None:
        by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
        for matrix in matrices:
            by_shape[matrix.shape].append(matrix)
        groups = [{"params": group} for group in by_shape.values()]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            matrices: list[Tensor] = group["params"]
            gradient = torch.stack([m.grad for m in matrices if m.grad is not None])
            state = self.state[matrices[0]]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(gradient)
            state["momentum"].lerp_(gradient, 1 - group["momentum"])
            update = orthogonalise(gradient.lerp(state["momentum"], group["momentum"]))
            rows, columns = matrices[0].shape
            scale = group["lr"] * max(1.0, rows / columns) ** 0.5
            for matrix, change in zip(matrices, update, strict=True):
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(change, alpha=-scale)


def optimizers(model: nn.Module, muon_lr: float, adam_lr: float) -> list[torch.optim.Optimizer]:
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        in_block = parameter.dim() == 2 and not name.startswith("token_embd")
        (matrices if in_block else others).append(parameter)
    adam = torch.optim.AdamW(others, lr=adam_lr, betas=(0.9, 0.95), weight_decay=0.0)
    return [Muon(matrices, lr=muon_lr), adam]
