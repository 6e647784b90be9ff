"""Whether a model fits into the memory it may use, and with how much context."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from edge_llama.errors import DoesNotFit
from edge_llama.settings.engine import (
    CHOOSE_ALL,
    FEW_SCORED_TOKENS,
    SCORED_TOKENS,
    EngineSettings,
    KVLayout,
    KVType,
)
from edge_llama.units import format_size
from edge_llama.weights.catalog.catalog import CatalogModel
from edge_llama.weights.catalog.quantization import quality_rank
from edge_llama.weights.catalog.variant import Variant
from edge_llama.weights.memory.memory_plan import CELL_MULTIPLE, MemoryPlan, kv_types
from edge_llama.weights.memory.model_shape import ModelShape

CONTEXTS = (131072, 65536, 32768, 16384, 8192, 4096, 2048, 1024)
"""Tokens of context that are chosen from, besides the model's own."""

USEFUL_CONTEXT = 4096
USEFUL_TEXT = 512
"""With fewer tokens of context a model, or an encoder, is only run when nothing else is left."""

MICRO_BATCHES = (256, 128)
"""Tokens that are computed at once. Two cores read prompts as fast with 128 as with 512, which
take four times the memory; many cores may gain from more, so the larger one is tried first."""

BUDGET_SHARE = 1 / 3
WEIGHTS_SHARE = 1 / 2
MODEST_KV_CACHE = 1 << 30

PREFERRED = "Q4_K_M"
WORST = "Q2_K"
"""What is worse is only chosen when it is asked for, or all there is."""

UNKNOWN_SHAPE_SHARE = 0.8
"""Of the budget that weights may take when nothing else of the model is known."""

SUGGESTIONS = 3


def plan_memory(
    shape: ModelShape,
    budget: int,
    settings: EngineSettings = CHOOSE_ALL,
    *,
    prefer_streams: bool = False,
) -> MemoryPlan:
    """How to run a model within `budget` bytes.

    The context comes first: as much as is asked for, or else the most, up to the model's own, with
    which

    - KV cache and buffers take at most a third of the budget, and
    - the KV cache is at most 1 GiB, or half as large as the weights if that is more. A step reads
      it like the weights, with all that finished requests left in it; and all of it is written at
      the start, which took a small virtual machine 1 to 2 s for 1 GB.

    `USEFUL_CONTEXT` is chosen regardless of these, if it fits at all, and fewer tokens only as the
    last resort. The KV cache is f16 unless only q8_0 gives that context: it takes half the memory,
    but a CPU is slower with it, and the more so the longer the context. What is left is for the
    logits of many tokens, so that prompts can be scored fast.

    An encoder has no KV cache but the buffers for a text as long as the context; `USEFUL_TEXT` is
    enough for it, and it has no positions beyond its own.

    Args:
        settings: what is given. `ctx_size`, `kv_type` and `kv_layout` are chosen where they are
            None; `micro_batch` is made smaller where that saves the context; `repack` is dropped
            where there is no memory for it.
        prefer_streams: choose that layout if there is memory left for it.

    Returns:
        The plan, whose settings are complete.

    Raises:
        DoesNotFit: there is no such plan; the text says what would fit.
    """
    streams = prefer_streams and settings.kv_layout is None
    types: tuple[KVType, ...] = kv_types(shape) if settings.kv_type is None else (settings.kv_type,)
    layout: KVLayout = settings.kv_layout or "unified"
    ctx_size = settings.ctx_size
    if shape.encoder:
        types, layout, streams = ("f16",), "unified", False
        ctx_size = None if ctx_size is None else min(ctx_size, shape.context_length)
    base = replace(
        settings,
        ctx_size=shape.context_length,
        kv_type="f16",
        kv_layout=layout,
        flash_attention=settings.flash_attention or None,
        repack=False,
        scored_tokens=FEW_SCORED_TOKENS,
    )
    wanted = settings.micro_batch
    smaller = (size for size in MICRO_BATCHES if size < wanted)
    sizes = tuple(min(size, settings.batch_size) for size in (wanted, *smaller))
    plans = _Plans(MemoryPlan(shape, base), sizes)
    if ctx_size is None:
        chosen = plans.automatic(types, budget)
    else:
        chosen = plans.fitting([ctx_size], types, budget)
    if chosen is None:
        raise DoesNotFit(_refusal(plans, types, budget, ctx_size))
    if streams:
        chosen = _if_fits(chosen.changed(kv_layout="streams"), budget, chosen)
    chosen = _if_fits(chosen.changed(repack=settings.repack), budget, chosen)
    chosen = _if_fits(chosen.changed(scored_tokens=SCORED_TOKENS), budget, chosen)
    return chosen.changed(
        flash_attention=chosen.flash_attention or settings.flash_attention,
        memory_limit=chosen.address_space,
    )


def choose_variant(
    model: CatalogModel, budget: int, others: Iterable[CatalogModel] = ()
) -> Variant:
    """The quantization that runs best within `budget` bytes.

    That is Q4_K_M, wherever it fits: more bits make a CPU slower and the answers hardly better.
    Next come the smaller ones down to Q2_K, the best first, and then the larger ones, the smallest
    first, for models that have no other. Those with a context of `USEFUL_CONTEXT` come before
    those with less; of the same quantization in several repositories the preferred one's is taken.

    Args:
        model: its variants are chosen from.
        others: models to name when none of them fits.

    Raises:
        DoesNotFit: none fits, or the model has none.
    """
    variants = _by_preference(model.variants)
    contexts = [_context(model, variant, budget) for variant in variants]
    useful = min(USEFUL_CONTEXT, model.context_length or USEFUL_CONTEXT)
    for enough in (useful, 1):
        for variant, context in zip(variants, contexts, strict=True):
            if context >= enough:
                return variant
    raise DoesNotFit(_no_variant(model, variants, budget, others))


@dataclass(frozen=True, slots=True)
class _Plans:
    """All the ways to run one model.

    Attributes:
        base: what they have in common.
        micro_batches: in order of preference.
    """

    base: MemoryPlan
    micro_batches: tuple[int, ...]

    @property
    def shape(self) -> ModelShape:
        return self.base.shape

    def plan(self, ctx_size: int, kv_type: KVType, micro_batch: int) -> MemoryPlan:
        return self.base.changed(ctx_size=ctx_size, kv_type=kv_type, micro_batch=micro_batch)

    def smallest(self, ctx_size: int, kv_type: KVType) -> MemoryPlan:
        return self.plan(ctx_size, kv_type, min(self.micro_batches))

    def all(self, contexts: Iterable[int], types: Iterable[KVType]) -> Iterator[MemoryPlan]:
        """In order of preference."""
        types = tuple(types)
        return (
            self.plan(ctx_size, kv_type, micro_batch)
            for ctx_size in contexts
            for kv_type in types
            for micro_batch in self.micro_batches
        )

    def fitting(
        self, contexts: Iterable[int], types: Iterable[KVType], budget: int
    ) -> MemoryPlan | None:
        """The first that fits."""
        return next((p for p in self.all(contexts, types) if p.total <= budget), None)

    def automatic(self, types: Iterable[KVType], budget: int) -> MemoryPlan | None:
        """The one that `plan_memory` describes."""
        own = self.shape.context_length
        enough = USEFUL_TEXT if self.shape.encoder else USEFUL_CONTEXT
        contexts = [own, *(size for size in CONTEXTS if size < own)]
        if enough < min(contexts):
            contexts.append(enough)
        useful = [size for size in contexts if size >= enough] or [own]
        *larger, smallest = useful
        for kv_type in types:
            modest = (p for p in self.all(larger, [kv_type]) if _is_modest(p, budget))
            plan = next(modest, None) or self.fitting([smallest], [kv_type], budget)
            if plan is not None:
                return plan
        return self.fitting(contexts[len(useful) :], types, budget)

    def largest(self, kv_type: KVType, budget: int, below: int) -> MemoryPlan | None:
        """The one with the most context that fits."""
        sizes = range(CELL_MULTIPLE, below, CELL_MULTIPLE)
        count = bisect_right(sizes, budget, key=lambda size: self.smallest(size, kv_type).total)
        return self.smallest(sizes[count - 1], kv_type) if count else None


def _if_fits(wish: MemoryPlan, budget: int, otherwise: MemoryPlan) -> MemoryPlan:
    return wish if wish.total <= budget else otherwise


def _is_modest(plan: MemoryPlan, budget: int) -> bool:
    return (
        plan.total <= budget
        and plan.kv_cache + plan.compute <= budget * BUDGET_SHARE
        and plan.kv_cache <= max(plan.weights * WEIGHTS_SHARE, MODEST_KV_CACHE)
    )


def _refusal(plans: _Plans, types: tuple[KVType, ...], budget: int, ctx_size: int | None) -> str:
    shape = plans.shape
    smallest = USEFUL_TEXT if shape.encoder else CONTEXTS[-1]
    tokens = ctx_size or min(smallest, shape.context_length)
    needed = min((plans.smallest(tokens, each) for each in types), key=lambda plan: plan.total)
    cache = "" if shape.encoder else f"KV cache {format_size(needed.kv_cache)}, "
    lines = [
        f"{shape.title} does not fit into {format_size(budget)} of memory: with {needed.context} "
        f"of context it takes {format_size(needed.total)} (weights {format_size(needed.weights)}, "
        f"{cache}buffers {format_size(needed.compute + needed.process)})."
    ]
    fitting = [plan for each in types if (plan := plans.largest(each, budget, tokens))]
    if fitting:
        options = (
            f"`ctx_size` {p.ctx_size}" + f" (KV cache {p.kv_type})" * (not shape.encoder)
            for p in fitting
        )
        lines.append(f"What fits: {' or '.join(options)}.")
        lines.append("Or choose a smaller quantization or model, or give it more `memory`.")
    else:
        lines.append("Choose a smaller quantization or model, or give it more `memory`.")
    if plans.base.kv_layout == "streams":
        lines.append("A smaller `parallel` or `kv_layout` unified needs less.")
    return " ".join(lines)


def _by_preference(variants: Iterable[Variant]) -> list[Variant]:
    known = [variant for variant in variants if variant.expected_size is not None]
    ranked = sorted(known or variants, key=_preference)
    worst = quality_rank(WORST)
    return [each for each in ranked if quality_rank(each.quantization) <= worst] or ranked


def _preference(variant: Variant) -> tuple[bool, int]:
    """The order in which variants are tried."""
    distance = quality_rank(variant.quantization) - quality_rank(PREFERRED)
    return distance < 0, abs(distance)


def _context(model: CatalogModel, variant: Variant, budget: int) -> int:
    """Tokens of context that a variant would get; 0 if it does not fit.

    Of a model whose dimensions nobody told, only the size of the weights is judged.
    """
    if variant.expected_size is None:
        return USEFUL_CONTEXT
    if model.architecture is None:
        return USEFUL_CONTEXT * (variant.expected_size <= budget * UNKNOWN_SHAPE_SHARE)
    try:
        return plan_memory(ModelShape.of_catalog(model, variant), budget).ctx_size
    except DoesNotFit:
        return 0


def _no_variant(
    model: CatalogModel, variants: list[Variant], budget: int, others: Iterable[CatalogModel]
) -> str:
    if not variants:
        return f"{model.name} has no weights that could be chosen from."
    smallest = min(variants, key=lambda variant: variant.expected_size or 0)
    text = (
        f"{model.name} does not fit into {format_size(budget)} of memory: the weights of "
        f"{smallest.quantization} alone take {format_size(smallest.expected_size or 0)}."
    )
    if fitting := list(islice(_fitting_others(others, budget), SUGGESTIONS)):
        text += f" What fits: {', '.join(fitting)}. Or"
    else:
        text += " Choose a smaller model, or"
    return f"{text} give it more `memory`."


def _fitting_others(others: Iterable[CatalogModel], budget: int) -> Iterator[str]:
    """Ids and quantizations of models that fit, the largest model first."""
    for model in sorted(others, key=lambda model: -(model.parameters or 0)):
        try:
            variant = choose_variant(model, budget)
        except DoesNotFit:
            continue
        size = format_size(variant.expected_size or 0)
        yield f"{model.id} as {variant.quantization} ({size})"
