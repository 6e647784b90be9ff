"""CONTRIBUTING.md leads to where things are."""

from __future__ import annotations

import ast
import re

import pytest

from tests.test_imports import MAY_IMPORT, PACKAGE

ROOT = PACKAGE.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACES = re.findall(r"`(edge_llama/[\w/]+\.py):(\w+)`", TEXT)
PATHS = re.findall(r"`((?:edge_llama|models|tests)/[\w./-]*)`", TEXT)


def test_a_request_has_a_place_at_each_of_its_eight_steps() -> None:
    steps = re.findall(r"^\d\. .*(?:\n   .*)*", TEXT.partition("## The life")[2], re.MULTILINE)[:8]
    assert all(re.search(r"`edge_llama/\S+:\w+`", step) for step in steps)


@pytest.mark.parametrize(("path", "name"), PLACES)
def test_what_is_named_is_there(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("path", sorted(set(PATHS)))
def test_paths_lead_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(
    "room", [room for room in MAY_IMPORT if room not in ("engine", "__main__")]
)
def test_every_room_is_on_the_map(room: str) -> None:
    path = room.replace(".", "/")
    rows = TEXT.partition("## The map")[2].partition("Imports point down")[0]
    assert re.search(rf"`(edge_llama/)?{path}(/|\.py)`", rows)
