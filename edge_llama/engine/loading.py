"""Loads a model and builds the engine around it."""

from __future__ import annotations

from pathlib import Path

from edge_llama.config import DEFAULT_CTX_SIZE, EngineSettings
from edge_llama.engine import binding
from edge_llama.engine.core import EngineCore
from edge_llama.engine.cost_table import CostTable
from edge_llama.engine.intake import Intake
from edge_llama.engine.kv_cache import KVCache
from edge_llama.engine.messages import ModelInfo
from edge_llama.engine.pace import Pace
from edge_llama.engine.prefix_cache import PrefixCache
from edge_llama.engine.runner import ModelRunner
from edge_llama.engine.scheduler import Scheduler
from edge_llama.machine.cpus import choose_threads, read_cpus


def open_model(settings: EngineSettings) -> binding.Model:
    """The weights that the settings name.

    Raises:
        ModelFileError: the file cannot be loaded.
    """
    gpu_layers = settings.gpu_layers if binding.has_gpu() else 0
    return binding.Model(Path(settings.model), gpu_layers=gpu_layers, repack=settings.repack)


def context_size(settings: EngineSettings, model: binding.Model) -> int:
    """Tokens of context that a request can have."""
    return settings.ctx_size or min(model.n_ctx_train, DEFAULT_CTX_SIZE)


def open_context(settings: EngineSettings, model: binding.Model) -> binding.Context:
    """The KV cache and compute buffers that the settings ask for.

    Raises:
        ModelFileError: there is not enough memory.
    """
    chosen = choose_threads(read_cpus())
    flash_attention = settings.flash_attention
    if flash_attention is None:
        flash_attention = settings.kv_type != "f16" or binding.has_gpu()
    return binding.Context(
        model,
        n_ctx=context_size(settings, model),
        n_seq_max=settings.parallel + settings.cached_sequences,
        batch_size=settings.batch_size,
        threads=settings.threads or chosen.decode,
        threads_batch=settings.threads_batch or settings.threads or chosen.prefill,
        micro_batch=settings.micro_batch,
        kv_type=settings.kv_type,
        flash_attention=flash_attention,
    )


class LoadedEngine:
    """A model in memory, ready to run.

    Args:
        settings: what to load and how to run it.

    Raises:
        ModelFileError: the file cannot be loaded, or not within this machine's memory.
    """

    def __init__(self, settings: EngineSettings) -> None:
        binding.init_backend()
        model = open_model(settings)
        context = open_context(settings, model)
        kv = KVCache(context, context.n_cells, settings.parallel + settings.cached_sequences)
        scheduler = Scheduler(
            kv,
            PrefixCache(kv, settings.cached_sequences),
            eog_tokens=model.vocab.eog_tokens,
            parallel=settings.parallel,
            pace=Pace(CostTable(settings.step_costs), settings.batch_size, settings.max_stall),
        )
        runner = ModelRunner(model, context, settings.batch_size)
        self.core = EngineCore(scheduler, runner, model.vocab.piece)
        self.info = _model_info(model, Path(settings.model).stem, context_size(settings, model))
        self.intake = Intake(model.vocab, self.info.n_ctx)
        self.abort_flag = context.abort_flag


def _model_info(model: binding.Model, stem: str, n_ctx: int) -> ModelInfo:
    vocab = model.vocab
    return ModelInfo(
        name=model.metadata("general.name") or stem,
        architecture=model.metadata("general.architecture"),
        description=model.description,
        quantization=model.quantization,
        n_params=model.n_params,
        size_bytes=model.size_bytes,
        n_ctx=n_ctx,
        n_ctx_train=model.n_ctx_train,
        n_vocab=vocab.n_tokens,
        bos_token=vocab.spelling(vocab.bos) if vocab.add_bos else "",
        eos_token=vocab.spelling(vocab.eos),
        control_tokens=vocab.control_tokens,
        chat_template=model.chat_template,
    )
