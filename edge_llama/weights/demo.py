"""The demo model that ships with the package."""

from __future__ import annotations

from pathlib import Path

from edge_llama.errors import ModelFileError

DEMO = "demo"
DEMO_NOTE = "edge-llama demo: a tiny model that shows the machinery, not Llama 3.1's knowledge"
_DEMO_FILE = Path("models", "demo", "edge-llama-demo.gguf")


def bundled_model() -> Path:
    """The demo model that ships with the package.

    Raises:
        ModelFileError: it is not there.
    """
    package = Path(__file__).resolve().parents[1]
    # A wheel has models/ inside the package, a checkout beside it.
    for root in (package, package.parent):
        if (path := root / _DEMO_FILE).is_file():
            return path
    raise ModelFileError(
        f"The demo model is missing: {package.parent / _DEMO_FILE} does not exist. "
        "Install edge-llama again."
    )
