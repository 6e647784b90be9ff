"""What tuning found, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edge_llama.bench.machine.busy import BUSY_SHARE
from edge_llama.planning.tuned.choice import TunedChoice
from edge_llama.tune.measurement import Rate
from edge_llama.tune.profile import Profile
from edge_llama.tune.tuner import MARGIN, Trial, Tuning
from edge_llama.tune.workload import SEQUENCES
from edge_llama.units import format_size

BAR = 24
"""Characters of the longest bar."""

NOT_MEASURED = "-"


def columns(tuning: Tuning) -> list[str]:
    """The titles of the table."""
    titles = {
        "decode": "decode at {:,}",
        "prefill": "prompt at {:,}",
        "together": f"{SEQUENCES} at once",
        "beside": f"prompt beside {SEQUENCES - 1}",
    }
    figures = [titles[figure.kind].format(figure.depth) for figure in _figures(tuning)]
    return ["", *figures, "memory", "score"]


def rows(tuning: Tuning) -> list[list[str]]:
    """The table: tokens a second, memory and score of each candidate, the default first."""
    lines = []
    for trial in tuning.trials:
        rates = trial.measurement.figures()
        relative = "" if trial.against == tuning.default.candidate else "x "
        cells = [
            _three_digits(rates[figure]) if figure in rates else NOT_MEASURED
            for figure in _figures(tuning)
        ]
        score = f"{relative}{trial.score:.2f}"
        lines.append([candidate_name(trial, tuning), *cells, format_size(trial.memory), score])
    return lines


def curves(tuning: Tuning, mark: str) -> list[list[str]]:
    """Bars of how fast one request is answered by the tokens of its context.

    Args:
        mark: the character that bars consist of.
    """
    trials = dict.fromkeys((tuning.default, tuning.chosen))
    rates = {
        (trial, figure): rate
        for trial in trials
        for figure, rate in trial.measurement.figures().items()
        if figure.kind == "decode"
    }
    longest = max(rates.values())
    return [
        [
            candidate_name(trial, tuning),
            f"{figure.depth:,}",
            mark * max(1, round(BAR * rate / longest)),
            _three_digits(rate),
        ]
        for (trial, figure), rate in rates.items()
    ]


def notes(tuning: Tuning, profile: Profile, busy: float) -> list[str]:
    """What the table leaves open, and what was decided, a line each.

    Args:
        busy: the share of the CPUs that other programs took.
    """
    default = tuning.default.candidate
    lines = [f"default: {default}", f"score: profile {profile.name}, {profile.use}"]
    if any(trial.against != default for trial in tuning.trials):
        lines.append("x: against the best of the lines above, by what was measured of both")
    for candidate, reason in tuning.ruled_out.items():
        lines.append(f"not possible: {candidate.changes(default) or 'the default'}: {reason}")
    if busy > BUSY_SHARE:
        lines.append(
            f"The machine was busy with something else ({busy:.0%} of its CPUs): tune again when "
            "it is idle."
        )
    if tuning.out_of_time:
        lines.append("Not everything was tried: it took too long.")
    if tuning.chosen.candidate == default:
        lines.append(
            f"The default stays: nothing else was better by {MARGIN - 1:.0%} or more, twice."
        )
    else:
        changes = tuning.chosen.candidate.changes(default)
        lines.append(f"Chosen: {changes} (score {tuning.chosen.score:.2f}).")
    return lines


def as_json(tuning: Tuning, choice: TunedChoice) -> dict[str, Any]:
    """Everything: rates in tokens a second, memory in bytes, times in seconds."""
    return {
        "profile": choice.profile,
        "margin": MARGIN,
        "candidates": [
            {
                **asdict(trial.candidate),
                "load": trial.measurement.load,
                "tokens_per_second": [
                    {**figure._asdict(), "rate": rate}
                    for figure, rate in trial.measurement.figures().items()
                ],
                "memory": trial.memory,
                "score": trial.score,
                "against": asdict(trial.against),
            }
            for trial in tuning.trials
        ],
        "ruled_out": [
            {**asdict(candidate), "reason": reason}
            for candidate, reason in tuning.ruled_out.items()
        ],
        "out_of_time": tuning.out_of_time,
        "chosen": asdict(choice.candidate),
        "score": choice.score,
        "step_costs": [cost._asdict() for cost in choice.step_costs],
    }


def _figures(tuning: Tuning) -> list[Rate]:
    return sorted(tuning.default.measurement.figures())


def _three_digits(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 99.95 else f"{rate:.3g}"


def candidate_name(trial: Trial, tuning: Tuning) -> str:
    """What is different from the default."""
    return trial.candidate.changes(tuning.default.candidate) or "default"
