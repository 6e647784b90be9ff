"""The rooms of the house: who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import edge_llama

PACKAGE = Path(edge_llama.__file__).parent

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "llama_cpp_facts": set(),
    "machine": set(),
    "process": set(),
    "units": {"errors"},
    "settings": {"errors"},
    "files": {"errors", "units"},
    "accounts": {"errors", "files", "settings"},
    "weights": {"errors", "files", "llama_cpp_facts", "settings", "units"},
    "planning": {"errors", "files", "machine", "settings", "units", "weights"},
    "engine.protocol": {"errors", "settings"},
    "engine.client": {"engine.protocol", "errors", "process", "settings"},
    "engine.binding": {"errors", "llama_cpp_facts", "settings"},
    "engine.kv": set(),
    "engine.blocks": {"engine.kv", "engine.protocol", "files", "settings"},
    "engine": {"engine.binding", "engine.blocks", "engine.kv", "engine.protocol"},
    "engine.side": {"engine", "engine.binding", "engine.blocks", "engine.kv", "errors"},
    "engine.sample": {"engine", "engine.binding", "engine.protocol", "errors", "process"},
    "engine.run": {"engine", "engine.binding"},
    "engine.schedule": {
        *("engine", "engine.binding", "engine.blocks", "engine.kv", "engine.protocol"),
        *("engine.side", "llama_cpp_facts", "settings"),
    },
    "engine.worker": {
        *("engine", "engine.binding", "engine.blocks", "engine.kv", "engine.protocol"),
        *("engine.run", "engine.sample", "engine.schedule", "engine.side"),
        *("errors", "machine", "process", "settings", "units"),
    },
    "text": {"errors"},
    "chat": {"engine.client", "engine.protocol", "errors", "process", "settings", "text"},
    "pool": {"chat", "engine.client", "engine.protocol", "errors", "settings"},
    "docs": {"errors"},
    "api": {
        "accounts",
        "chat",
        "docs",
        "engine.protocol",
        "errors",
        "files",
        "pool",
        "settings",
        "units",
    },
    "bench": {
        *("engine.binding", "engine.blocks", "engine.client", "engine.protocol"),
        *("engine.worker", "errors", "machine", "process", "settings", "weights"),
    },
    "tune": {
        *("bench", "engine.binding", "engine.client", "engine.worker"),
        *("errors", "machine", "planning", "process", "settings", "units", "weights"),
    },
    "cli": {
        *(
            "accounts",
            "api",
            "bench",
            "chat",
            "docs",
            "engine.blocks",
            "engine.client",
            "engine.protocol",
        ),
        *("errors", "files", "machine", "planning", "pool", "settings", "tune", "units"),
        "weights",
    },
    "__main__": {"cli"},
}
"""Rooms by what they import, from the ground up: nothing else, and nothing that is not here.

The engine's shelves are rooms of their own. All may read the version in `edge_llama` itself.
"""

MAP_START, MAP_END = "<!-- what rooms import -->\n```\n", "```\n<!-- what rooms import -->"


def modules() -> list[Path]:
    """All but `edge_llama/__init__.py`, whose public names come from every room."""
    found = {path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")}
    return sorted(found - {Path("__init__.py")})


def room_of(name: str) -> str:
    """The room of a module, or of a name in one: a shelf of the engine, or what lies at the top."""
    parts = name.split(".")
    return next((room for n in (2, 1) if (room := ".".join(parts[:n])) in MAY_IMPORT), parts[0])


def dotted(module: Path) -> str:
    parts = module.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imported_names(module: Path) -> tuple[str, ...]:
    return tuple(_imported_names(module))


def _imported_names(module: Path) -> Iterator[str]:
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
    """The rooms that `module` imports from, its own not counted."""
    ours = (name.removeprefix("edge_llama.") for name in imported_names(module))
    imported = {name for name in ours if name != "edge_llama" and _is_ours(name)}
    return {room_of(name) for name in imported} - {room_of(dotted(module))}


@cache
def _is_ours(name: str) -> bool:
    """Whether it is a module with code of its own, not just a room or a name in a module."""
    path = PACKAGE / Path(*name.split("."))
    if path.with_suffix(".py").is_file():
        return True
    init = path / "__init__.py"
    return init.is_file() and len(ast.parse(init.read_text(encoding="utf-8")).body) > 1


def test_every_room_has_a_rule() -> None:
    assert {room_of(dotted(module)) for module in modules()} == MAY_IMPORT.keys()


@pytest.mark.parametrize("module", modules(), ids=str)
def test_imports_point_down(module: Path) -> None:
    assert imported_rooms(module) <= MAY_IMPORT[room_of(dotted(module))]


def test_no_rule_is_idle() -> None:
    used: dict[str, set[str]] = {room: set() for room in MAY_IMPORT}
    for module in modules():
        used[room_of(dotted(module))] |= imported_rooms(module)
    assert used == MAY_IMPORT


def test_the_ground_comes_first() -> None:
    """So that a room is known before it is used, and there is no circle."""
    known: set[str] = set()
    for room, others in MAY_IMPORT.items():
        assert others <= known
        known.add(room)


def test_the_map_shows_what_rooms_import() -> None:
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text("utf-8")
    told = text.partition(MAP_START)[2].partition(MAP_END)[0]
    lines = [f"{room:16} {' '.join(sorted(MAY_IMPORT[room]))}".rstrip() for room in MAY_IMPORT]
    assert told.splitlines() == lines[::-1]


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
