"""Public classes: each name means one thing in all of edge_llama."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from tests.test_imports import PACKAGE, modules


def names_of(tree: ast.Module) -> Iterator[str]:
    """The classes of a module, and its aliases of unions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
    for statement in tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(name)], value=ast.BinOp(op=ast.BitOr()))
                | ast.AnnAssign(target=ast.Name(name), value=ast.BinOp(op=ast.BitOr()))
            ):
                yield name


def test_no_two_public_classes_have_the_same_name() -> None:
    places = defaultdict(list)
    for module in modules():
        for name in names_of(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
            if not name.startswith("_"):
                places[name].append(str(module))
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert not twice
