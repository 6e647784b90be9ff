from __future__ import annotations

import msgspec
import pytest

from edge_llama.settings.engine import StepCost
from edge_llama.tune.measurement import Measurement, Rate, Scale, Step, StepTimes

MEASUREMENT = Measurement(
    1.0,
    (
        StepTimes(Step(1, 512, 0), (4.0, 4.0)),
        StepTimes(Step(1, 8, 0), (0.2,)),
        StepTimes(Step(1, 1, 3000), (9.0, 0.1, 0.1)),
        StepTimes(Step(4, 4, 3072), (0.2,)),
        StepTimes(Step(4, 35, 3072), (0.4,)),
    ),
)


def test_figures_are_medians_in_tokens_a_second() -> None:
    assert MEASUREMENT.figures() == {
        Rate("prefill", 0): 128.0,
        Rate("decode", 3000): 10.0,
        Rate("together", 3072): 20.0,
        Rate("beside", 3072): 80.0,
    }


def test_costs_count_the_tokens_after_the_step() -> None:
    assert MEASUREMENT.costs() == (
        StepCost(512, 512, 4.0),
        StepCost(8, 8, 0.2),
        StepCost(1, 3001, 0.1),
        StepCost(4, 3076, 0.2),
        StepCost(35, 3107, 0.4),
    )


def test_some_layers_tell_what_all_of_them_take() -> None:
    # Two of ten layers; the output matrix takes 0.02 s of a step, a layer 0.04 s a token.
    sample = Measurement(
        1.0, (StepTimes(Step(1, 1, 0), (0.1,)), StepTimes(Step(1, 64, 1024), (5.14, 5.34)))
    )
    whole = sample.scaled(Scale(layers=5.0, output=0.2))
    assert whole.times[0].seconds == pytest.approx([0.02 + 10 * 0.04])
    assert whole.times[1].seconds == pytest.approx([0.02 + 5 * 5.12, 0.02 + 5 * 5.32])
    assert sample.scaled(Scale()) == sample


def test_it_crosses_a_pipe() -> None:
    assert msgspec.json.decode(msgspec.json.encode(MEASUREMENT), type=Measurement) == MEASUREMENT
