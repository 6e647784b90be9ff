from __future__ import annotations

import subprocess
import sys

import pytest

import edge_llama


def test_every_public_name_is_there_and_is_what_it_says() -> None:
    for name in edge_llama.__all__:
        value = getattr(edge_llama, name)
        assert name == "__version__" or value.__name__ == name
    assert set(edge_llama.__all__) == {"__version__", *edge_llama._HOME_OF}
    assert set(dir(edge_llama)) == set(edge_llama.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = edge_llama.nonsense


def test_importing_the_package_loads_none_of_its_rooms() -> None:
    code = "import sys, edge_llama; print([m for m in sys.modules if m.startswith('edge_llama.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
