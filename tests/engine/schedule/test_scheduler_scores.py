from __future__ import annotations

from edge_llama.engine.protocol.output import FinishReason, Output
from edge_llama.settings.engine import FEW_SCORED_TOKENS
from tests.engine.schedule.scheduling import Engine, expected


def scores(outputs: list[Output]) -> list[tuple[int, float]]:
    return [(each.token, each.logprob) for output in outputs for each in output.prompt_logprobs]


def all_scores(prompt: list[int]) -> list[tuple[int, float]]:
    return [(token, -float(i)) for i, token in enumerate(prompt) if i]


def test_a_scored_prompt_is_read_anew_in_bounded_steps() -> None:
    engine = Engine(n_cells=400, batch_size=200)
    prompt = [1 + i % 49 for i in range(70)]
    engine.add(prompt, max_tokens=2)
    engine.finish()
    done = len(engine.runner.steps)
    [sequence] = engine.add(prompt, max_tokens=2, scored=True)
    outputs = engine.finish()
    assert scores(outputs) == all_scores(prompt)
    steps = [[len(span.tokens) for span in step] for step in engine.runner.steps[done:]]
    assert steps == [[FEW_SCORED_TOKENS], [FEW_SCORED_TOKENS], [70 - 2 * FEW_SCORED_TOKENS], [1]]
    assert sequence.num_cached == 0
    assert sequence.token_ids == expected(prompt, 2)


def test_two_scored_prompts_share_a_step() -> None:
    engine = Engine(batch_size=200)
    engine.add([1] * 20, scored=True)
    engine.add([2] * 20, scored=True)
    engine.step()
    assert [len(span.tokens) for span in engine.runner.steps[0]] == [20, FEW_SCORED_TOKENS - 20]


def test_scored_prompts_leave_running_streams_their_pace() -> None:
    engine = Engine(n_cells=800, batch_size=200, busy_prefill=200, scored_tokens=100)
    engine.add([1, 2, 3], max_tokens=2)
    engine.step()
    engine.add([1 + i % 49 for i in range(300)], scored=True)
    engine.step()
    engine.step()
    sizes = [[len(span.tokens) for span in step] for step in engine.runner.steps]
    assert sizes[1:] == [[1, FEW_SCORED_TOKENS], [100]]


def test_a_preempted_prompt_is_scored_once() -> None:
    engine = Engine(n_cells=100, parallel=2, batch_size=8, cached=0)
    prompt = [1 + i for i in range(40)]
    engine.add([5] * 30, max_tokens=60)
    engine.add(prompt, max_tokens=1, scored=True)
    outputs = engine.finish()
    assert scores(outputs) == all_scores(prompt)


def test_choices_of_a_scored_prompt_share_it() -> None:
    engine = Engine(n_cells=400, batch_size=200)
    prompt = [1 + i % 49 for i in range(100)]
    first, second = engine.add(prompt, max_tokens=2, n=2, scored=True)
    outputs = engine.finish()
    assert scores(outputs) == all_scores(prompt)
    assert first.num_cached == 0
    assert second.num_cached == 3 * FEW_SCORED_TOKENS


def test_without_output_only_the_prompt_is_read() -> None:
    engine = Engine()
    [sequence] = engine.add([1, 2, 3], max_tokens=0, scored=True)
    [output] = engine.finish()
    assert (output.tokens, output.finish) == ((), FinishReason.LENGTH)
    assert scores([output]) == all_scores([1, 2, 3])
    assert sequence.token_ids == [1, 2, 3]
    engine.add([1, 2, 3, 4], max_tokens=0)
    [output] = engine.finish()
    assert (output.tokens, output.cached_tokens) == ((), 3)
