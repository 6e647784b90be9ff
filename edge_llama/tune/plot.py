"""What tuning measured, as a picture."""

from __future__ import annotations

from edge_llama.bench.report.picture import Picture
from edge_llama.tune.report import candidate_name
from edge_llama.tune.tuner import Tuning

INCHES = (9.0, 4.0)
PANELS = {"decode": "One answer", "prefill": "Prompts"}


def draw_tuning(tuning: Tuning, title: str, picture: Picture) -> None:
    """Draw the speed of generating and of reading prompts, by depth, with a line for each
    candidate.

    Raises:
        SettingsError: the file cannot be written.
    """
    figure = picture.figure(*INCHES)
    figure.suptitle(title)
    for axis, (kind, name) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        for trial in tuning.whole_trials:
            rates = trial.measurement.figures()
            points = [(each.depth, rate) for each, rate in rates.items() if each.kind == kind]
            axis.plot(*zip(*points, strict=True), "o-", label=candidate_name(trial, tuning))
        axis.set_title(name)
        axis.set_xlabel("tokens of context")
        axis.set_ylabel("tokens a second")
        axis.set_ylim(bottom=0)
    axis.legend(fontsize="small")
    picture.save(figure)
