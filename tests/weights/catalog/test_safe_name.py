from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.errors import UnsafeFileName
from edge_llama.weights.catalog.safe_name import check_name

HOSTILE = [
    "",
    "/",
    "/etc/model.gguf",
    "..",
    "../../.bashrc",
    "a/../../b.gguf",
    "a/./b.gguf",
    "a//b.gguf",
    "a/",
    "C:\\x",
    "C:/x.gguf",
    "c:x.gguf",
    "a/..\\..\\b",
    "\\\\server\\share\\x.gguf",
    "x.gguf\0.txt",
    "x\n.gguf",
    "x\x1b[2J.gguf",
    "x\u202egguf.exe",
    "x\ud800.gguf",
    "model.gguf ",
    "model.gguf.",
    "folder /x.gguf",
    "folder./x.gguf",
    "NUL",
    "nul.gguf",
    "a/CON.gguf",
    "aux .gguf",
    "COM1",
    "com\u00b9.gguf",
    "lpt9.q4.gguf",
    "conin$",
    ".hidden.gguf",
    ".incoming/x.gguf",
    "~/x.gguf:stream",
    "x?.gguf",
    "x*.gguf",
    "x|y.gguf",
    '"x".gguf',
    "<x>.gguf",
    "x" * 300 + ".gguf",
    "é" * 101,
]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names_are_refused(name: str) -> None:
    with pytest.raises(UnsafeFileName) as caught:
        check_name(name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "name",
    [
        "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf",
        "Q8_0/model-Q8_0-00001-of-00003.gguf",
        "bartowski/Meta-Llama-3.1-8B-Instruct-GGUF",
        "comics.gguf",
        "nullable.gguf",
        "modèle (1).gguf",
        "a..b.gguf",
    ],
)
def test_real_names_are_taken(name: str) -> None:
    assert check_name(name) == name


@given(
    st.lists(
        st.sampled_from(["..", ".", "/", "\\", ":", "C:", "a", "b.gguf", " ", "\0", "NUL", "~"])
        | st.text(max_size=4),
        max_size=8,
    ).map("".join)
)
def test_a_name_that_passes_stays_below_its_folder(name: str) -> None:
    try:
        check_name(name)
    except UnsafeFileName:
        return
    posix, windows = PurePosixPath("/store", name), PureWindowsPath("D:\\store", name)
    assert posix.parts == ("/", "store", *name.split("/"))
    assert windows.parts == ("D:\\", "store", *name.split("/"))
    assert not {"..", "."} & set(windows.parts)
