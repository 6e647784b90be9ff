"""Loads a model and builds the engine around it."""

from __future__ import annotations

from pathlib import Path

from edge_llama.config import DEFAULT_CTX_SIZE, EngineSettings, usable_cpus
from edge_llama.engine import binding
from edge_llama.engine.core import EngineCore
from edge_llama.engine.intake import Intake
from edge_llama.engine.kv_cache import KVCache
from edge_llama.engine.messages import ModelInfo
from edge_llama.engine.prefix_cache import PrefixCache
from edge_llama.engine.runner import ModelRunner
from edge_llama.engine.scheduler import Scheduler

CACHED_SEQUENCES = 32
"""Most finished sequences whose KV stays resident."""


class LoadedEngine:
    """A model in memory, ready to run.

    Args:
        settings: what to load and how to run it.

    Raises:
        ModelFileError: the file cannot be loaded, or not within this machine's memory.
    """

    def __init__(self, settings: EngineSettings) -> None:
        binding.init_backend()
        path = Path(settings.model)
        gpu = binding.has_gpu()
        model = binding.Model(
            path, gpu_layers=settings.gpu_layers if gpu else 0, repack=settings.repack
        )
        n_ctx = settings.ctx_size or min(model.n_ctx_train, DEFAULT_CTX_SIZE)
        threads = settings.threads or usable_cpus()
        context = binding.Context(
            model,
            n_ctx=n_ctx,
            n_seq_max=settings.parallel + CACHED_SEQUENCES,
            batch_size=settings.batch_size,
            threads=threads,
            threads_batch=settings.threads_batch or threads,
            flash_attention=gpu if settings.flash_attention is None else settings.flash_attention,
        )
        kv = KVCache(context, context.n_cells, settings.parallel + CACHED_SEQUENCES)
        scheduler = Scheduler(
            kv,
            PrefixCache(kv, CACHED_SEQUENCES),
            eog_tokens=model.vocab.eog_tokens,
            parallel=settings.parallel,
            batch_size=settings.batch_size,
            busy_prefill=settings.busy_prefill,
        )
        runner = ModelRunner(model, context, settings.batch_size)
        self.core = EngineCore(scheduler, runner, model.vocab.piece)
        self.intake = Intake(model.vocab, n_ctx)
        self.abort_flag = context.abort_flag
        self.info = _model_info(model, path, n_ctx)


def _model_info(model: binding.Model, path: Path, n_ctx: int) -> ModelInfo:
    return ModelInfo(
        name=model.metadata("general.name") or path.stem,
        architecture=model.metadata("general.architecture"),
        description=model.description,
        quantization=model.quantization,
        n_params=model.n_params,
        size_bytes=model.size_bytes,
        n_ctx=n_ctx,
        n_ctx_train=model.n_ctx_train,
        n_vocab=model.vocab.n_tokens,
        bos_token=model.vocab.spelling(model.vocab.bos) if model.vocab.add_bos else "",
        eos_token=model.vocab.spelling(model.vocab.eos),
        control_tokens=model.vocab.control_tokens,
        chat_template=model.chat_template,
    )
