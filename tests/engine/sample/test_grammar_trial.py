from __future__ import annotations

import os

import pytest

from edge_llama.engine.sample import grammar_trial
from edge_llama.engine.sample.grammar_trial import GrammarTrial
from edge_llama.errors import InvalidValue
from edge_llama.process.limited_child import LimitedChild
from tests.effort import at_most

GOOD = 'start: "yes" <|eot_id|>'
DEADLY = "start: X5\nX0: /[abc]?/\n" + "\n".join(
    f"X{i + 1}: " + " ".join([f"X{i}"] * 10) for i in range(5)
)
"""Some gigabytes."""


@pytest.fixture
def trial() -> GrammarTrial:
    return GrammarTrial(["<|eot_id|>"])


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[LimitedChild]:
    """The children that were started."""
    children: list[LimitedChild] = []

    def start(module: str) -> LimitedChild:
        children.append(LimitedChild(module))
        return children[-1]

    monkeypatch.setattr(grammar_trial, "LimitedChild", start)
    return children


def test_one_child_tries_all_that_pass(trial: GrammarTrial, started: list[LimitedChild]) -> None:
    for number in range(300):
        trial.check(f'start: "{number}" <|eot_id|>', "grammar")
    assert len(started) == 1
    assert started[0].alive


def test_what_has_a_fault_is_for_the_engine_to_refuse(trial: GrammarTrial) -> None:
    trial.check("start: nowhere", "grammar")


def test_what_takes_too_much_is_refused_and_ends_one_child(
    trial: GrammarTrial, started: list[LimitedChild]
) -> None:
    with (
        at_most(5000, os.getpid()),
        pytest.raises(InvalidValue, match="Make it simpler") as refused,
    ):
        trial.check(DEADLY, "response_format")
    assert refused.value.param == "response_format"
    trial.check(GOOD, "grammar")
    assert [child.alive for child in started] == [False, True]


def test_what_passed_is_not_tried_again(trial: GrammarTrial, started: list[LimitedChild]) -> None:
    trial.check(GOOD, "grammar")
    started[0].end()
    trial.check(GOOD, "grammar")
    assert len(started) == 1
    trial.check(GOOD + "\n", "grammar")
    assert len(started) == 2


def test_without_a_process_for_it_nothing_is_compiled(
    trial: GrammarTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(module: str) -> LimitedChild:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(grammar_trial, "LimitedChild", fail)
    with pytest.raises(InvalidValue, match="at the moment: Resource temporarily unavailable"):
        trial.check(GOOD, "grammar")


def test_a_child_ends_with_its_trial(started: list[LimitedChild]) -> None:
    trial = GrammarTrial([])
    trial.check('start: "a"', "grammar")
    process = started.pop()._process
    assert process.poll() is None
    del trial
    assert process.poll() is not None
