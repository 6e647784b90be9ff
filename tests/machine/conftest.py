from __future__ import annotations

from pathlib import Path

import pytest

from tests.machine.fake_linux import FakeLinux


@pytest.fixture
def linux(tmp_path: Path) -> FakeLinux:
    return FakeLinux(tmp_path)
