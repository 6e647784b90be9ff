from __future__ import annotations

import pytest

from edge_llama import errors
from edge_llama.cli.terminal.exit_codes import MEANINGS, ExitCode, epilog, exit_code_of
from tests.cli.test_program import run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ModelFileError("x"), 7),
        (errors.UnsafeFileName("x"), 1),
        (errors.EngineUnavailable("x"), 1),
        (errors.SettingsError("x"), 2),
        (errors.UnknownModel("x"), 3),
        (errors.HubUnavailable("x"), 4),
        (errors.GatedRepository("x"), 5),
        (errors.NotEnoughSpace("x"), 6),
        (errors.ChecksumMismatch("x"), 7),
        (errors.DoesNotFit("x"), 8),
    ],
    ids=str,
)
def test_the_code_of_an_error(error: errors.EdgeLlamaError, code: int) -> None:
    assert exit_code_of(error) == code


def test_a_kind_of_an_error_has_its_code() -> None:
    class MirrorUnavailable(errors.HubUnavailable):
        pass

    assert exit_code_of(MirrorUnavailable("x")) is ExitCode.HUB


def test_every_code_has_a_meaning_in_the_help() -> None:
    assert set(MEANINGS) == set(ExitCode)
    assert "7 a file is damaged" in epilog()


def test_the_help_ends_with_the_codes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert " ".join(out.split()).endswith(epilog())
