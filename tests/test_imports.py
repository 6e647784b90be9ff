"""The rooms of the house: who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import edge_llama

PACKAGE = Path(edge_llama.__file__).parent

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "child": set(),
    "limited_child": {"child"},
    "limits": set(),
    "config": {"errors"},
    "units": {"errors"},
    "regular_file": {"units"},
    "machine": {"errors"},
    "weights": {"errors", "config", "units", "machine"},
    "engine": {
        *("errors", "config", "child", "limited_child", "limits"),
        *("units", "regular_file", "machine"),
    },
    "text": {"errors"},
    "chat": {"errors", "config", "child", "limited_child", "limits", "engine", "text"},
    "api": {"errors", "config", "regular_file", "engine", "text", "chat"},
    "bench": {"errors", "config", "child", "engine", "machine", "weights"},
    "tune": {"errors", "config", "child", "units", "engine", "machine", "weights", "bench"},
    "cli": {
        "units",
        *("errors", "config", "machine", "engine", "text", "chat", "api"),
        *("weights", "bench", "tune"),
    },
    "__main__": {"cli"},
}
"""Rooms by what they may use. All may read the version in `edge_llama` itself."""


def modules() -> list[Path]:
    """All but `edge_llama/__init__.py`, whose public names come from every room."""
    found = {path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")}
    return sorted(found - {Path("__init__.py")})


def room_of(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def imported_names(module: Path) -> Iterator[str]:
    """Every module that `module` imports, anywhere in its code, as absolute dotted names."""
    package = ["edge_llama", *module.parts[:-1]]
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def imported_rooms(module: Path) -> set[str]:
    names = (name.split(".") for name in imported_names(module))
    rooms = {parts[1] for parts in names if parts[0] == "edge_llama" and len(parts) > 1}
    return rooms & MAY_IMPORT.keys()


def test_every_room_has_a_rule() -> None:
    rooms = {room_of(module) for module in modules()}
    assert rooms == MAY_IMPORT.keys()


@pytest.mark.parametrize("module", modules(), ids=str)
def test_imports_point_down(module: Path) -> None:
    room = room_of(module)
    assert imported_rooms(module) - {room} <= MAY_IMPORT[room]


@pytest.mark.parametrize("module", modules(), ids=str)
def test_the_package_itself_does_not_use_its_public_names(module: Path) -> None:
    public = {f"edge_llama.{name}" for name in edge_llama.__all__} - {"edge_llama.__version__"}
    assert public.isdisjoint(imported_names(module))


def test_only_the_binding_imports_llama_cpp() -> None:
    importers = {
        module.parent.as_posix()
        for module in modules()
        if any(name.split(".")[0] == "llama_cpp" for name in imported_names(module))
    }
    assert importers == {"engine/binding"}


@pytest.mark.parametrize(
    "name", ["edge_llama", "edge_llama.api.app", "edge_llama.chat.model", "edge_llama.cli"]
)
def test_importing_does_not_load_llama_cpp(name: str) -> None:
    code = f"import sys, {name}; sys.exit('llama_cpp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_program_is_light_to_import() -> None:
    code = (
        "import sys, edge_llama.cli;"
        "print(*sorted({'numpy', 'pydantic', 'starlette', 'uvicorn', 'jinja2'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "")
