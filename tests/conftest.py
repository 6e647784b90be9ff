from __future__ import annotations

import gc
import os
from importlib.util import find_spec

# Whatever runs here keeps no prompts on disk unless it asks for that.
os.environ["EDGE_LLAMA_CACHE_SIZE"] = "0"

if find_spec("hypothesis"):  # other people's clients are tried without it
    import httpx
    from hypothesis import HealthCheck, settings

    from tests.effort import PATIENCE

    # Five seconds, in which a busy machine does not always answer.
    _patient = httpx._config.DEFAULT_TIMEOUT_CONFIG
    _patient.connect = _patient.read = _patient.write = _patient.pool = PATIENCE

    # What an example takes tells how busy the machine is, and nothing else.
    settings.register_profile(
        "tests", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("tests")


def pytest_collection_finish() -> None:
    """Thousands of tests stay until the end: the garbage collector need not look at them."""
    gc.collect()
    gc.freeze()
