from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge_llama.bench.synthetic import synthetic
from edge_llama.cli.doctor.diagnosis import diagnose
from edge_llama.cli.terminal.exit_codes import ExitCode
from edge_llama.planning.plan import plan
from edge_llama.planning.planned import Planned
from edge_llama.planning.tuned.candidate import Candidate
from edge_llama.planning.tuned.choice import TunedChoice
from edge_llama.planning.tuned.key import TuneKey
from edge_llama.planning.tuned.store import TuneStore, default_tune_store
from edge_llama.settings.engine import CHOOSE_ALL, FEW_SCORED_TOKENS, StepCost
from edge_llama.tune import measurer, tuner
from edge_llama.weights.catalog.catalog import load_catalog
from edge_llama.weights.memory.model_shape import ModelShape
from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store
from tests.cli.test_program import run
from tests.gguf_factory import write_tiny_gguf
from tests.serving import serving
from tests.tune.tuning import FakeMeasurer, even

BUDGET = 4_000_000_000
CHOICE = TunedChoice(
    candidate=Candidate(
        flash_attention=True,
        kv_type="q8_0",
        repack=True,
        threads=1,
        threads_batch=2,
        micro_batch=128,
    ),
    profile="server",
    score=1.5,
    step_costs=(StepCost(1, 1, 0.001), StepCost(64, 64, 0.01)),
    tuned_at=datetime(2024, 7, 23, tzinfo=timezone.utc),
)


@pytest.fixture
def tuned(tiny: InstalledModel) -> InstalledModel:
    """An installed model that was tuned."""
    default_tune_store().save(TuneKey.of(ModelShape.of_file(tiny.path)), CHOICE)
    return tiny


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeMeasurer:
    """Measures at once that flash attention is twice as fast."""
    fake = FakeMeasurer(lambda each, step: even(each, step) / (2 if each.flash_attention else 1))
    monkeypatch.setattr(measurer, "ChildMeasurer", lambda *_: fake)
    return fake


def planned_for(model: InstalledModel, budget: int, ctx_size: int | None) -> Planned:
    return plan(model.id, memory=budget, settings=replace(CHOOSE_ALL, ctx_size=ctx_size))


def test_a_tiny_model_end_to_end(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    store: Store,
    tiny: InstalledModel,
) -> None:
    monkeypatch.setattr(tuner, "EXPLORE_SECONDS", 0.5)
    code, out, err = run(capsys, "tune", tiny.id, "--json", "--profile", "rag")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert data["profile"] == "rag"
    assert data["candidates"][0]["score"] == 1
    assert {cost["size"] for cost in data["step_costs"]} >= {1, 8, 64}
    assert Path(data["saved"]).parent == store.root.parent / "tune"
    planned = planned_for(tiny, BUDGET, None)
    assert planned.tuned is not None
    assert len(planned.settings.step_costs) == len(data["step_costs"])


def test_the_table_explains_the_choice(
    capsys: pytest.CaptureFixture[str], tiny: InstalledModel, fake: FakeMeasurer
) -> None:
    code, out, err = run(capsys, "tune", tiny.id)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    titles = ("decode at 0", "decode at 1,024", "prompt at 0", "prompt at 1,024", "memory", "score")
    assert lines[1].split() == " ".join(titles).split()
    assert lines[2].split()[:2] == ["default", "200"]
    assert any("█" * 24 in line for line in lines)
    assert lines[-1].startswith("Chosen: flash attention on")
    assert default_tune_store().find(TuneKey.of(ModelShape.of_file(tiny.path))) is not None


def test_of_a_model_that_is_not_here_some_layers_are_measured(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    store: Store,
    fake: FakeMeasurer,
) -> None:
    written: list[synthetic.Shape] = []

    def write(path: Path, shape: synthetic.Shape, **_: object) -> None:
        written.append(shape)
        write_tiny_gguf(path, n_layer=shape.n_layer)

    monkeypatch.setattr("edge_llama.tune.sample.write_model", write)
    monkeypatch.setattr("edge_llama.cli.tune.memory_budget", lambda _: 24_000_000_000)
    code, out, _ = run(capsys, "tune", "llama-3.1-8b-instruct", "--json")
    assert code == 0
    assert written == [replace(synthetic.SHAPES["llama-3.1-8b"], n_layer=4, rope_factor=32.0)]
    data = json.loads(out)
    assert data["layers"] == 4
    assert {cost["size"] for cost in data["step_costs"]} >= {1, 64}
    model = load_catalog().find("llama-3.1-8b-instruct")
    assert model is not None
    variant = next(each for each in model.variants if each.quantization == "Q4_K_M")
    key = TuneKey.of(ModelShape.of_catalog(model, variant))
    assert default_tune_store().find(key) is not None


def test_small_catalog_models_share_their_matrices() -> None:
    from edge_llama.tune.sample import sample_shape

    model = load_catalog().find("llama-3.2-1b-instruct")
    assert model is not None
    shape = sample_shape(ModelShape.of_catalog(model, model.variants[0]))
    assert shape == replace(synthetic.SHAPES["llama-3.2-1b"], n_layer=4)


def test_a_model_of_the_hub_must_be_here_first(
    capsys: pytest.CaptureFixture[str], store: Store
) -> None:
    code, out, err = run(capsys, "tune", "owner/repo:Q4_K_M")
    assert (code, out) == (ExitCode.NO_SUCH_MODEL, "")
    assert "edge-llama pull owner/repo:Q4_K_M" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--plot", "curves.gif"), ".png or .svg"), (("--profile", "gaming"), "--profile")],
)
def test_wrong_usage_is_told_with_code_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = run(capsys, "tune", *arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_curves_are_drawn(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny: InstalledModel, fake: FakeMeasurer
) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "curves.svg"
    assert run(capsys, "tune", tiny.id, "--plot", str(path))[0] == 0
    assert "flash attention on" in path.read_text(encoding="utf-8")


def test_plans_use_what_was_tuned(tuned: InstalledModel) -> None:
    planned = planned_for(tuned, BUDGET, 1024)
    used = planned.settings
    assert (used.flash_attention, used.kv_type, used.repack) == (True, "q8_0", True)
    assert (used.threads, used.threads_batch, used.micro_batch) == (1, 2, 128)
    assert used.step_costs == CHOICE.step_costs
    assert planned.memory is not None
    assert planned.memory.repacked == planned.memory.weights
    note = planned.why[-1]
    assert note.startswith("Tuned for this machine (profile server): flash attention on")


def test_show_and_doctor_plan_with_what_was_tuned(
    capsys: pytest.CaptureFixture[str], tuned: InstalledModel
) -> None:
    code, out, _ = run(capsys, "show", tuned.id, "--json")
    assert code == 0
    assert json.loads(out)["fit"]["kv_type"] == "q8_0"
    (model,) = diagnose().models
    assert model.plan is not None
    assert model.plan.kv_type == "q8_0"


def test_streams_are_planned_where_they_were_tuned(tiny: InstalledModel) -> None:
    streams = replace(CHOICE, candidate=replace(CHOICE.candidate, kv_layout="streams"))
    default_tune_store().save(TuneKey.of(ModelShape.of_file(tiny.path)), streams)
    planned = planned_for(tiny, BUDGET, 1024)
    assert planned.settings.kv_layout == "streams"
    assert "(4 x 1,024 tokens, q8_0)" in planned.why[0]
    shared = replace(CHOOSE_ALL, ctx_size=1024, kv_layout="unified")
    assert plan(tiny.id, memory=BUDGET, settings=shared).settings.kv_layout == "unified"


def test_flags_win_over_what_was_tuned(tuned: InstalledModel) -> None:
    given = replace(CHOOSE_ALL, threads=3)
    assert plan(tuned.id, memory=BUDGET, settings=given).settings.threads == 3
    untuned = plan(tuned.id, memory=BUDGET, settings=given, use_tuned=False)
    assert untuned.tuned is None
    assert untuned.settings.step_costs == ()
    assert untuned.settings.kv_type == "f16"


def test_what_was_tuned_yields_to_memory(tuned: InstalledModel) -> None:
    enough = planned_for(tuned, BUDGET, 1024).memory
    assert enough is not None
    least = enough.changed(scored_tokens=FEW_SCORED_TOKENS).total
    tight = planned_for(tuned, least - 1, 1024)
    assert not tight.settings.repack
    assert "repacked" not in tight.why[-1]


def test_a_damaged_choice_leaves_the_defaults(
    tuned: InstalledModel, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = default_tune_store().root.iterdir()
    path.write_text("{")
    planned = planned_for(tuned, BUDGET, None)
    assert planned.tuned is None
    assert planned.settings.flash_attention is None or not planned.settings.flash_attention
    assert len(caplog.records) == 1


def test_serve_says_that_it_is_tuned(tuned: InstalledModel, tmp_path: Path) -> None:
    assert isinstance(default_tune_store(), TuneStore)
    with serving(tuned.id, EDGE_LLAMA_HOME=str(tmp_path / "home")) as (_, process):
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
    assert lines[1].startswith("Tuned for this machine (profile server): flash attention on")
    with serving(tuned.id, "--no-tuned", EDGE_LLAMA_HOME=str(tmp_path / "home")) as (_, process):
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
    assert not any("Tuned" in line for line in lines)
