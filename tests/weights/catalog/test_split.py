from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.weights.catalog.split import (
    SplitPart,
    all_parts,
    group_variants,
    is_complete,
    split_part,
)
from edge_llama.weights.catalog.variant import Variant, WeightFile


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("a/b-Q8_0-00002-of-00003.gguf", SplitPart("a/b-Q8_0", 2, 3)),
        ("b-00001-of-00001.GGUF", SplitPart("b", 1, 1)),
        ("b-Q8_0.gguf", None),
        ("b-1-of-3.gguf", None),
        ("b-00001-of-00003.gguf.part", None),
        ("-00001-of-00003.gguf", None),
    ],
)
def test_the_name_of_a_part_tells_its_place(path: str, part: SplitPart | None) -> None:
    assert split_part(path) == part


@given(st.text(min_size=1), st.integers(1, 40), st.data())
def test_all_parts_follow_from_any(prefix: str, parts: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, parts))
    paths = all_parts(f"{prefix}-{number:05}-of-{parts:05}.gguf")
    assert [split_part(path) for path in paths] == [
        SplitPart(prefix, n, parts) for n in range(1, parts + 1)
    ]
    assert is_complete(paths)


@pytest.mark.parametrize(
    ("paths", "complete"),
    [
        (["m.gguf"], True),
        (["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"], True),
        ([], False),
        (["m-00001-of-00002.gguf"], False),
        (["m-00002-of-00002.gguf"], False),
        (["m-00002-of-00002.gguf", "m-00001-of-00002.gguf"], False),
        (["m-00001-of-00002.gguf", "n-00002-of-00002.gguf"], False),
        (["m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "m-00003-of-00003.gguf"], False),
        (["m.gguf", "n.gguf"], False),
    ],
)
def test_a_model_is_complete_with_all_its_parts_in_order(paths: list[str], complete: bool) -> None:
    assert is_complete(paths) is complete


def test_the_models_of_a_repository_best_first() -> None:
    parts = [f"Q8_0/L-Q8_0-0000{n}-of-00002.gguf" for n in (1, 2)]
    paths = [
        "README.md",
        "L-Q4_K_M.gguf",
        "L.gguf",
        parts[1],
        "L-Q6_K-00001-of-00002.gguf",
        parts[0],
        "L-Q5_K_M.gguf",
    ]
    variants = group_variants("o/r", [WeightFile(path, 1, "ab") for path in paths], "c0ffee")
    assert [
        (variant.quantization, [file.path for file in variant.files]) for variant in variants
    ] == [
        ("Q8_0", parts),
        ("Q5_K_M", ["L-Q5_K_M.gguf"]),
        ("Q4_K_M", ["L-Q4_K_M.gguf"]),
        ("unknown", ["L.gguf"]),
    ]
    assert variants[0] == Variant(
        "o/r", "Q8_0", tuple(WeightFile(part, 1, "ab") for part in parts), "c0ffee"
    )
    assert variants[0].size == variants[0].expected_size == 2


def test_an_unknown_size_is_planned_with_what_is_known_roughly() -> None:
    files = (WeightFile("a-00001-of-00002.gguf", 7), WeightFile("a-00002-of-00002.gguf"))
    variant = Variant("o/r", "Q8_0", files, approximate_size=20)
    assert (variant.size, variant.expected_size) == (None, 20)
    assert Variant("o/r", "Q8_0", files).expected_size is None
