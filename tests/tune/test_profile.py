from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.cli.tune import ProfileName
from edge_llama.tune.measurement import Rate
from edge_llama.tune.profile import PROFILES, Profile
from edge_llama.tune.workload import DEPTHS

FIGURES = [
    *(Rate("decode", depth) for depth in DEPTHS),
    *(Rate("prefill", depth) for depth in (0, 3000)),
    Rate("together", 3072),
    Rate("beside", 3072),
]
profiles = st.sampled_from(list(PROFILES.values()))
ratio = st.floats(0.1, 10)


def test_the_command_knows_all_profiles() -> None:
    assert [name.value for name in ProfileName] == list(PROFILES)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_weights_add_up(profile: Profile) -> None:
    alone, others = (*profile.decode, *profile.prefill), (profile.together, profile.beside)
    assert sum((*alone, *others, profile.memory)) == pytest.approx(1)


@given(profiles, ratio)
def test_what_is_so_much_better_at_everything_scores_that(profile: Profile, gain: float) -> None:
    assert profile.score(dict.fromkeys(FIGURES, gain), 1 / gain) == pytest.approx(gain)


@given(profiles, st.fixed_dictionaries(dict.fromkeys(FIGURES, ratio)), ratio)
def test_the_reverse_comparison_gives_the_reverse_score(
    profile: Profile, ratios: dict[Rate, float], memory: float
) -> None:
    reverse = {figure: 1 / ratio for figure, ratio in ratios.items()}
    product = profile.score(ratios, memory) * profile.score(reverse, 1 / memory)
    assert product == pytest.approx(1)


@given(profiles, st.sampled_from(FIGURES), st.floats(1.01, 10))
def test_to_be_faster_never_scores_less(profile: Profile, figure: Rate, gain: float) -> None:
    assert profile.score({**dict.fromkeys(FIGURES, 1.0), figure: gain}, 1.0) >= 1


def test_profiles_differ_in_what_they_weigh() -> None:
    even = dict.fromkeys(FIGURES, 1.0)

    def best_at(figure: Rate, memory: float = 1.0) -> str:
        scores = {
            name: profile.score({**even, figure: 2.0}, memory) for name, profile in PROFILES.items()
        }
        return max(scores, key=lambda name: scores[name])

    assert best_at(Rate("decode", 1024)) == "chat"
    assert best_at(Rate("prefill", 3000)) == "rag"
    assert best_at(Rate("together", 3072)) == "server"
    assert best_at(Rate("beside", 3072)) == "server"
    assert best_at(Rate("decode", 0), memory=0.2) == "low-memory"


def test_what_was_not_measured_has_no_weight() -> None:
    chat = PROFILES["chat"]
    assert chat.score({Rate("prefill", 0): 2.0}, 1.0) == pytest.approx(2 ** (0.15 / 0.25))
    of_decode = Profile(
        name="", use="", decode=(1, 0, 0), prefill=(0, 0), together=0, beside=0, memory=0
    )
    assert of_decode.score({Rate("prefill", 0): 2.0}, 3.0) == 1.0
