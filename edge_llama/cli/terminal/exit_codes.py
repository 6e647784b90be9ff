"""What the program's exit code tells a script."""

from __future__ import annotations

from enum import IntEnum

from edge_llama.errors import (
    ChecksumMismatch,
    DoesNotFit,
    EdgeLlamaError,
    GatedRepository,
    HubUnavailable,
    ModelFileError,
    NotEnoughSpace,
    SettingsError,
    UnknownModel,
)


class ExitCode(IntEnum):
    """The codes of all commands; they do not change between versions."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NO_SUCH_MODEL = 3
    HUB = 4
    GATED = 5
    DISK_FULL = 6
    DAMAGED = 7
    DOES_NOT_FIT = 8
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.OK: "ok",
    ExitCode.ERROR: "any other error",
    ExitCode.USAGE: "wrong usage or setting",
    ExitCode.NO_SUCH_MODEL: "no such model",
    ExitCode.HUB: "no network, or the hub does not answer",
    ExitCode.GATED: "the hub wants an accepted licence and a token",
    ExitCode.DISK_FULL: "the disk is too full",
    ExitCode.DAMAGED: "a file is damaged or cannot be used",
    ExitCode.DOES_NOT_FIT: "the model does not fit into memory",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
}

_OF_ERRORS: dict[type[EdgeLlamaError], ExitCode] = {
    SettingsError: ExitCode.USAGE,
    UnknownModel: ExitCode.NO_SUCH_MODEL,
    HubUnavailable: ExitCode.HUB,
    GatedRepository: ExitCode.GATED,
    NotEnoughSpace: ExitCode.DISK_FULL,
    ChecksumMismatch: ExitCode.DAMAGED,
    ModelFileError: ExitCode.DAMAGED,
    DoesNotFit: ExitCode.DOES_NOT_FIT,
}


def exit_code_of(error: EdgeLlamaError) -> ExitCode:
    """The code with which the program ends when `error` ends it."""
    codes = (_OF_ERRORS[cls] for cls in type(error).__mro__ if cls in _OF_ERRORS)
    return next(codes, ExitCode.ERROR)


def epilog() -> str:
    """The codes for `--help`, in one paragraph."""
    codes = ", ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items())
    return f"Exit codes: {codes}."
