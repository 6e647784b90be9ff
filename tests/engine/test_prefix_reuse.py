"""What the prefix cache gives back is what a cold run computes, by llama.cpp and the demo."""

from __future__ import annotations

import functools
import itertools
import time

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_llama import resolve_model
from edge_llama.engine import binding
from edge_llama.engine.protocol.output import FinishReason
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.engine.run.runner import ModelRunner
from edge_llama.engine.sample.span_sampler import SpanSampler
from edge_llama.engine.schedule.core import EngineCore
from edge_llama.engine.schedule.cost_table import CostTable
from edge_llama.engine.schedule.pace import Pace
from edge_llama.engine.schedule.scheduler import Scheduler
from edge_llama.engine.sequence import Sequence
from edge_llama.engine.worker.loading import (
    make_caches,
    make_side_prefill,
    open_context,
    open_model,
)
from edge_llama.settings.engine import EngineSettings, KVLayout, KVType

SYSTEMS = (
    "You are a helpful assistant.",
    "You answer in one short sentence. Be friendly, say what you know, and say so when you do not "
    "know something. Never make up names, places or numbers.",
)
QUESTIONS = (
    "Hello!",
    "What is the capital of France?",
    "What colour is the sky?",
    "Count from 1 to 60.",
)

TIE = 0.1
"""Between logits, whose range is some 20."""


@functools.cache
def model() -> binding.Model:
    binding.init_backend()
    return open_model(EngineSettings(model=str(resolve_model("demo"))))


class Crawling(Pace):
    """In the steps, prompts crawl."""

    def crawls(self, decoding: int, depth: int) -> bool:
        return True


class Engine:
    """The demo model in this process, with a KV cache that soon is full.

    Args:
        beside: read prompts beside the steps, whenever something decodes.
    """

    def __init__(
        self,
        *,
        parallel: int,
        cached: int,
        kv_layout: KVLayout = "unified",
        kv_type: KVType | None = None,
        ctx_size: int = 512,
        beside: bool = False,
    ) -> None:
        options = EngineSettings(
            model="demo",
            ctx_size=ctx_size,
            parallel=parallel,
            cached_sequences=cached,
            kv_layout=kv_layout,
            kv_type=kv_type,
            batch_size=64,
            threads=2 if beside else 1,
        )
        self.context = open_context(options, model())
        self.kv, self.prefixes = make_caches(options, self.context)
        self.side = None
        if beside:
            self.side = make_side_prefill(
                options, model(), self.context, self.kv, lambda: None, smallest=16
            )
        self.scheduler = Scheduler(
            self.kv,
            self.prefixes,
            eog_tokens=model().vocab.eog_tokens,
            parallel=parallel,
            pace=(Crawling if beside else Pace)(CostTable(), batch_size=64),
            side=self.side,
        )
        runner = ModelRunner(self.context, SpanSampler(model().vocab, self.context), batch_size=64)
        self.core = EngineCore(self.scheduler, runner, model().vocab.piece)
        self.ids = itertools.count()

    def add(
        self, prompt: list[int], max_tokens: int, domain: str = "", n: int = 1
    ) -> list[Sequence]:
        id = next(self.ids)
        sequences = [
            Sequence(
                id=id,
                index=index,
                request=GenerationRequest(
                    prompt=(), options=GenerationOptions(cache_domain=domain)
                ),
                token_ids=list(prompt),
                num_prompt=len(prompt),
                max_length=min(len(prompt) + max_tokens, 512),
                sampling=SamplingParams(temperature=0.0),
            )
            for index in range(n)
        ]
        self.core.add(sequences)
        return sequences

    def step(self) -> None:
        self.core.step()
        self.scheduler.check_integrity()
        if self.core.idle and self.core.has_work:
            time.sleep(0.0005)

    def finish(self) -> None:
        while self.core.has_work:
            self.step()

    def close(self) -> None:
        self.finish()
        self.scheduler.close(5)
        self.prefixes.clear()
        assert self.kv.n_free == self.kv.n_cells
        assert all(self.context.length(seq_id) == 0 for seq_id in range(self.kv.n_seq_max))
        self.context.close()


@functools.cache
def cold_engine() -> Engine:
    return Engine(parallel=1, cached=0)


@functools.cache
def cold_run(prompt: tuple[int, ...], max_tokens: int) -> list[int]:
    """Prompt and greedy output, computed with nothing else in the KV cache."""
    engine = cold_engine()
    [sequence] = engine.add(list(prompt), max_tokens)
    engine.finish()
    assert sequence.num_cached == 0
    return sequence.token_ids


def same_or_tied(tokens: list[int], cold: list[int]) -> bool:
    """Whether two greedy outputs are equal up to where the cold run had two tokens as good as
    equal.

    The order of the cells decides about the last bits of the logits.
    """
    differs = [at for at, pair in enumerate(zip(tokens, cold, strict=False)) if len({*pair}) > 1]
    if not differs:
        return len(tokens) == len(cold)
    at = differs[0]
    logits = cold_logits(cold[:at])
    return float(logits[cold[at]] - logits[tokens[at]]) < TIE


def cold_logits(tokens: list[int]) -> binding.FloatArray:
    """Of the token that comes next."""
    context = cold_engine().context
    batch = binding.Batch(64)
    for start in range(0, len(tokens), 64):
        batch.clear()
        last = batch.add(tokens[start : start + 64], start, seq_id=0, n_outputs=1)
        context.decode(batch)
    logits: binding.FloatArray = context.logits(last).copy()
    context.remove(0)
    return logits


def turn(role: str, text: str) -> list[int]:
    vocab = model().vocab
    control = vocab.control_tokens
    return [
        control["<|start_header_id|>"],
        *vocab.tokenize(role),
        control["<|end_header_id|>"],
        *vocab.tokenize(f"\n\n{text}"),
        *([control["<|eot_id|>"]] if text else []),
    ]


def conversation(system: str, question: str) -> list[int]:
    bos = model().vocab.bos
    return [bos, *turn("system", system), *turn("user", question), *turn("assistant", "")]


def test_who_is_preempted_goes_on_where_it_was() -> None:
    engine = Engine(parallel=3, cached=4)
    prompts = [conversation(SYSTEMS[0], f"Count from {low} to 60.") for low in (1, 2, 3)]
    sequences = [engine.add(prompt, 200)[0] for prompt in prompts]
    preempted = set()
    while engine.core.has_work:
        engine.step()
        preempted |= {each for each in engine.scheduler.waiting if each.first_token}
    assert preempted
    assert sequences[0] not in preempted
    for sequence, prompt in zip(sequences, prompts, strict=True):
        assert same_or_tied(sequence.token_ids, cold_run(tuple(prompt), 200))
    engine.close()


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
@pytest.mark.parametrize("kv_layout", ["unified", "streams"])
def test_a_prompt_that_is_read_beside_a_stream_is_answered_alike(
    kv_layout: KVLayout, kv_type: KVType
) -> None:
    system = " ".join([SYSTEMS[1]] * 7)
    [stream_prompt, prompt] = [conversation("", "Count."), conversation(system, QUESTIONS[1])]
    assert len(prompt) > 256
    cold = Engine(parallel=1, cached=0, kv_type=kv_type)
    [expected] = cold.add(prompt, 20)
    cold.finish()
    engine = Engine(
        parallel=2, cached=2, kv_layout=kv_layout, kv_type=kv_type, ctx_size=1024, beside=True
    )
    [stream] = engine.add(stream_prompt, 400)
    while not stream.decoding:
        engine.step()
    [newcomer] = engine.add(prompt, 20)
    engine.step()
    assert engine.side is not None
    assert engine.side.sequence is newcomer
    engine.finish()
    assert newcomer.token_ids == expected.token_ids
    assert not engine.side.busy
    engine.close()


class PrefixReuseMachine(RuleBasedStateMachine):
    """Random conversations, aborts and evictions."""

    kv_layout: KVLayout = "unified"
    beside = False

    def __init__(self) -> None:
        super().__init__()
        self.engine = Engine(parallel=3, cached=4, kv_layout=self.kv_layout, beside=self.beside)
        self.asked: list[tuple[Sequence, int]] = []

    @rule(
        system=st.sampled_from(SYSTEMS),
        question=st.sampled_from(QUESTIONS),
        max_tokens=st.sampled_from([1, 8, 200]),
        domain=st.sampled_from(["", "a"]),
        n=st.sampled_from([1, 3]),
    )
    def ask(self, system: str, question: str, max_tokens: int, domain: str, n: int) -> None:
        self.add(conversation(system, question), max_tokens, domain, n)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), question=st.sampled_from(QUESTIONS), dropped=st.integers(0, 3))
    def go_on(self, data: st.DataObject, question: str, dropped: int) -> None:
        """Ask more in a conversation of which the client has changed the end."""
        before, _ = data.draw(st.sampled_from(self.asked))
        history = before.token_ids[: len(before.token_ids) - dropped]
        prompt = [*history, *turn("user", question), *turn("assistant", "")]
        if len(prompt) < 400:
            self.add(prompt, 20, before.cache_domain)

    @precondition(lambda self: self.engine.core.has_work)
    @rule(steps=st.integers(1, 60))
    def step(self, steps: int) -> None:
        for _ in range(steps):
            if self.engine.core.has_work:
                self.engine.step()

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        self.engine.core.abort(data.draw(st.sampled_from(self.asked))[0].id)

    @rule(n=st.integers(1, 200))
    def evict(self, n: int) -> None:
        self.engine.prefixes.evict(n)

    @invariant()
    def books_balance(self) -> None:
        self.engine.scheduler.check_integrity()
        for sequence in self.engine.scheduler.running:
            native = self.engine.kv.native_id(sequence.seq_id)
            assert self.engine.context.length(native) == sequence.num_computed

    def add(self, prompt: list[int], max_tokens: int, domain: str, n: int = 1) -> None:
        sequences = self.engine.add(prompt, max_tokens, domain, n)
        self.asked += [(sequence, max_tokens) for sequence in sequences]

    def teardown(self) -> None:
        self.engine.close()
        for sequence, max_tokens in self.asked:
            cold = cold_run(tuple(sequence.token_ids[: sequence.num_prompt]), max_tokens)
            if sequence.finish_reason is FinishReason.ABORT:
                cold = cold[: len(sequence.token_ids)]
            assert same_or_tied(sequence.token_ids, cold)


class StreamsPrefixReuseMachine(PrefixReuseMachine):
    """The same with a stream for each sequence."""

    kv_layout = "streams"


class BesidePrefixReuseMachine(PrefixReuseMachine):
    """The same with prompts that are read beside the steps."""

    beside = True


class StreamsBesidePrefixReuseMachine(StreamsPrefixReuseMachine):
    """Both."""

    beside = True


SETTINGS = settings(max_examples=14, stateful_step_count=30, deadline=None, derandomize=True)
FEWER = settings(SETTINGS, max_examples=4, stateful_step_count=20)
TestPrefixReuseMachine = PrefixReuseMachine.TestCase
TestPrefixReuseMachine.settings = SETTINGS
TestStreamsPrefixReuseMachine = StreamsPrefixReuseMachine.TestCase
TestStreamsPrefixReuseMachine.settings = SETTINGS
TestBesidePrefixReuseMachine = BesidePrefixReuseMachine.TestCase
TestBesidePrefixReuseMachine.settings = FEWER
TestStreamsBesidePrefixReuseMachine = StreamsBesidePrefixReuseMachine.TestCase
TestStreamsBesidePrefixReuseMachine.settings = FEWER
