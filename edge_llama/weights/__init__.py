"""Where model files are and whether they can be run."""

from edge_llama.weights.gguf_header import check_header
from edge_llama.weights.locate import DEMO, DEMO_NOTE, bundled_model, model_id, resolve_model

__all__ = ["DEMO", "DEMO_NOTE", "bundled_model", "check_header", "model_id", "resolve_model"]
