"""Loads a model and builds the engine around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_llama.engine import binding
from edge_llama.engine.blocks.model_hash import FileVersion, model_files
from edge_llama.engine.blocks.store import BlockStore
from edge_llama.engine.kv.kv_cache import KVCache
from edge_llama.engine.kv.prefix_cache import PrefixCache, TokenArray
from edge_llama.engine.kv.radix_prefix_cache import RadixPrefixCache
from edge_llama.engine.kv.stream_kv_cache import StreamKVCache
from edge_llama.engine.kv.stream_prefix_cache import StreamPrefixCache
from edge_llama.engine.kv.unified_kv_cache import UnifiedKVCache
from edge_llama.engine.protocol.model_info import FillTokens, ModelInfo
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.engine.run.encoder_runner import EncoderRunner
from edge_llama.engine.run.pooling import Pooling
from edge_llama.engine.run.runner import ModelRunner
from edge_llama.engine.sample.constraint_compiler import ConstraintCompiler
from edge_llama.engine.sample.sampler import Sampler
from edge_llama.engine.sample.span_sampler import SpanSampler
from edge_llama.engine.schedule.core import EngineCore
from edge_llama.engine.schedule.cost_table import CostTable
from edge_llama.engine.schedule.disk_cache import DiskCache
from edge_llama.engine.schedule.encoder_core import EncoderCore
from edge_llama.engine.schedule.pace import Pace
from edge_llama.engine.schedule.scheduler import Scheduler
from edge_llama.engine.side.context import CHUNK, SideContext
from edge_llama.engine.side.prefill import SMALLEST, SidePrefill
from edge_llama.engine.side.reading import SideReading
from edge_llama.engine.worker.intake import Intake
from edge_llama.errors import ModelFileError
from edge_llama.machine.cpus import choose_threads, read_cpus
from edge_llama.machine.memory import MIN_RESERVE, read_memory
from edge_llama.settings.engine import DEFAULT_CTX_SIZE, EngineSettings
from edge_llama.units import format_size

SIDE_BUFFERS = 64 << 20
"""Bytes of compute buffers besides attention, of a prompt that is read beside the steps."""

KV_VALUE_BYTES = 2
"""Of a key's or value's number; q8_0 takes about half."""

MAX_TEXTS = 64
"""Most texts that an encoder embeds in one step."""


def open_model(settings: EngineSettings) -> binding.Model:
    """The weights that the settings name.

    Raises:
        ModelFileError: the file cannot be loaded.
    """
    gpu_layers = settings.gpu_layers if binding.has_gpu() else 0
    return binding.Model(
        Path(settings.model), gpu_layers=gpu_layers, repack=settings.repack, mmap=settings.mmap
    )


def open_sampler(model: binding.Model, sampling: SamplingParams) -> Sampler:
    """What chooses the tokens of a sequence without a prompt to penalise."""
    return Sampler(sampling, model.vocab)


def context_size(settings: EngineSettings, model: binding.Model) -> int:
    """Tokens of context that a request can have; an encoder has no positions beyond its own."""
    own = min(model.n_ctx_train, DEFAULT_CTX_SIZE)
    if settings.ctx_size is None:
        return own
    return min(settings.ctx_size, model.n_ctx_train) if model.is_encoder else settings.ctx_size


def open_context(settings: EngineSettings, model: binding.Model) -> binding.Context:
    """The KV cache and compute buffers that the settings ask for.

    Raises:
        ModelFileError: there is not enough memory, or the model is an encoder.
    """
    if model.is_encoder:
        raise ModelFileError(f"{Path(settings.model).name} embeds texts and cannot continue them.")
    threads, threads_batch = thread_counts(settings)
    return binding.Context(
        model,
        n_ctx=context_size(settings, model),
        # One more in a unified cache, through which blocks go to the disk and come back.
        n_seq_max=settings.n_seq_max + (settings.kv_layout != "streams"),
        batch_size=settings.batch_size,
        threads=threads,
        threads_batch=threads_batch,
        micro_batch=settings.micro_batch,
        kv_type=settings.kv_type or "f16",
        streams=settings.kv_layout == "streams",
        flash_attention=_flash_attention(settings),
        n_outputs=settings.parallel + settings.scored_tokens,
    )


def open_side_context(
    settings: EngineSettings,
    model: binding.Model,
    main: binding.Context,
    n_tokens: int,
    threads: int,
) -> binding.Context:
    """A context for a prompt of `n_tokens` that is read beside the steps of `main`.

    Raises:
        ModelFileError: there is not enough memory.
    """
    n_ctx = max(n_tokens, model.n_ctx_original + 1) if main.is_long else n_tokens
    # Without flash attention, a step holds the scores of all pairs, before and after softmax.
    scores = 2 * 4 * n_ctx * CHUNK * model.n_head
    needed = n_ctx * model.n_kv_values * KV_VALUE_BYTES + scores + SIDE_BUFFERS
    available = read_memory().available - MIN_RESERVE
    if needed > available:
        raise ModelFileError(
            f"There is no memory to read it beside them: it needs {format_size(needed)} and "
            f"{format_size(max(0, available))} can be had."
        )
    return binding.Context(
        model,
        n_ctx=n_ctx,
        n_seq_max=2,
        batch_size=CHUNK,
        threads=threads,
        threads_batch=threads,
        kv_type=settings.kv_type or "f16",
        flash_attention=_flash_attention(settings),
    )


def thread_counts(settings: EngineSettings) -> tuple[int, int]:
    """The threads of steps that read no prompt, and of those that do."""
    chosen = choose_threads(read_cpus())
    threads_batch = settings.threads_batch or settings.threads or chosen.prefill
    return settings.threads or chosen.decode, threads_batch


def _flash_attention(settings: EngineSettings) -> bool:
    if settings.flash_attention is not None:
        return settings.flash_attention
    return settings.kv_type not in (None, "f16") or binding.has_gpu()


def open_encoder_context(settings: EngineSettings, model: binding.Model) -> binding.Context:
    """The compute buffers of an encoder, for steps of a text as long as the context or of several
    short ones.

    Raises:
        ModelFileError: there is not enough memory.
    """
    size = max(context_size(settings, model), settings.micro_batch, MAX_TEXTS)
    threads = settings.threads_batch or settings.threads or choose_threads(read_cpus()).prefill
    return binding.Context(
        model,
        n_ctx=size,
        n_seq_max=MAX_TEXTS,
        batch_size=size,
        micro_batch=size,
        threads=threads,
        threads_batch=threads,
        # Without it each token is held against those of all other texts too, and each pair of
        # tokens takes memory.
        flash_attention=settings.flash_attention is not False,
        n_outputs=size,
    )


def make_caches(settings: EngineSettings, context: binding.Context) -> tuple[KVCache, PrefixCache]:
    """The books of a context, and what keeps prefixes in it."""
    capacity = settings.cached_sequences
    if settings.kv_layout == "streams":
        streams = StreamKVCache(context, context.n_cells, settings.n_seq_max)
        return streams, StreamPrefixCache(streams, capacity)
    unified = UnifiedKVCache(context, context.n_cells, settings.n_seq_max)
    return unified, RadixPrefixCache(unified, capacity)


def make_side_prefill(
    settings: EngineSettings,
    model: binding.Model,
    context: binding.Context,
    kv: KVCache,
    on_progress: Callable[[], None],
    smallest: int = SMALLEST,
) -> SidePrefill | None:
    """What reads prompts beside the steps of a context; None where there is nothing to gain.

    Args:
        on_progress: called from other threads when something was read.
        smallest: tokens that must be missing of a prompt.
    """
    threads = thread_counts(settings)[1] // 2
    # With a sliding window, llama.cpp leaves out of a state what its end does not attend to.
    if not threads or binding.has_gpu() or model.sliding_window:
        return None

    def read(prompt: TokenArray, start: int) -> SideReading:
        def open_reader() -> SideContext:
            return SideContext(open_side_context(settings, model, context, len(prompt), threads))

        return SideReading(prompt, start, kv.block_size, open_reader, on_progress)

    def lend(lent: bool) -> None:
        context.lend_threads(threads if lent else 0)

    return SidePrefill(kv, read, lend, smallest)


class LoadedEngine:
    """A model in memory, ready to run.

    Args:
        settings: what to load and how to run it.
        on_progress: called from other threads when something was read from the disk or written, or
            was read beside the steps.

    Raises:
        ModelFileError: the file cannot be loaded, or not within this machine's memory.
    """

    def __init__(self, settings: EngineSettings, *, on_progress: Callable[[], None]) -> None:
        binding.init_backend()
        # Before they are loaded: what is hashed later must be the same files.
        files = model_files(Path(settings.model))
        model = open_model(settings)
        pooling = Pooling.from_gguf(model.architecture_metadata("pooling_type"))
        self._on_progress = on_progress
        self.core: EngineCore | EncoderCore
        if model.is_encoder:
            context = open_encoder_context(settings, model)
            self.core = _encoder_core(settings, context, pooling)
        else:
            context = open_context(settings, model)
            self.core = self._decoder_core(settings, model, files, context, pooling)
        self.info = _model_info(model, settings)
        self.compiler = ConstraintCompiler(model.vocab)
        self.intake = Intake(
            model.vocab,
            self.info.n_ctx,
            self.compiler,
            settings.max_tokens,
            pooling,
            generates=not model.is_encoder,
        )
        self.piece = model.vocab.piece
        self.abort_flag = context.abort_flag
        """Interrupts a step."""
        self._context = context

    def try_out(self) -> None:
        """Compute a token and forget it, with all threads: who is told that the engine is ready
        can rely on it.

        Raises:
            ModelFileError: llama.cpp cannot compute it.
        """
        try:
            self._context.try_out()
        except binding.DecodeError as error:
            raise ModelFileError(f"The model is loaded but cannot be run: {error}") from error

    def _decoder_core(
        self,
        settings: EngineSettings,
        model: binding.Model,
        files: tuple[FileVersion, ...],
        context: binding.Context,
        pooling: Pooling | None,
    ) -> EngineCore:
        kv, prefix_cache = make_caches(settings, context)
        pace = Pace(
            CostTable(settings.step_costs),
            settings.batch_size,
            settings.max_stall,
            keeps_scores=not _flash_attention(settings),
        )
        scheduler = Scheduler(
            kv,
            prefix_cache,
            eog_tokens=model.vocab.eog_tokens,
            parallel=settings.parallel,
            pace=pace,
            scored_tokens=settings.scored_tokens,
            disk=self._disk_cache(settings, model, files, context, kv, pace),
            side=make_side_prefill(settings, model, context, kv, self._on_progress),
        )
        sampler = SpanSampler(model.vocab, context)
        runner = ModelRunner(context, sampler, settings.batch_size, pooling or Pooling.MEAN)
        return EngineCore(scheduler, runner, model.vocab.piece)

    def _disk_cache(
        self,
        settings: EngineSettings,
        model: binding.Model,
        files: tuple[FileVersion, ...],
        context: binding.Context,
        kv: KVCache,
        pace: Pace,
    ) -> DiskCache | None:
        # With a sliding window, llama.cpp leaves out of a state what its end does not attend to.
        if settings.disk_cache is None or model.sliding_window:
            return None
        store = BlockStore(
            settings.disk_cache,
            files,
            label=model.metadata("general.name") or Path(settings.model).stem,
            layout=context.kv_layout,
            block_size=kv.block_size,
            # Twice, for layers that have more heads than the first.
            token_bytes=2 * KV_VALUE_BYTES * model.n_kv_values,
            on_progress=self._on_progress,
        )
        kv_bytes = KV_VALUE_BYTES * model.n_kv_values * context.n_cells
        return DiskCache(store, kv, pace, larger=settings.disk_cache.max_bytes >= kv_bytes)


def _encoder_core(
    settings: EngineSettings, context: binding.Context, pooling: Pooling | None
) -> EncoderCore:
    return EncoderCore(
        EncoderRunner(context, context.n_cells, pooling or Pooling.MEAN),
        max_texts=MAX_TEXTS,
        max_tokens=settings.micro_batch,
    )


def _model_info(model: binding.Model, settings: EngineSettings) -> ModelInfo:
    vocab = model.vocab
    path = Path(settings.model)
    return ModelInfo(
        name=model.metadata("general.name") or path.stem,
        architecture=model.metadata("general.architecture"),
        description=model.description,
        quantization=model.quantization,
        n_params=model.n_params,
        size_bytes=model.size_bytes,
        n_ctx=context_size(settings, model),
        n_ctx_train=model.n_ctx_train,
        n_vocab=vocab.n_tokens,
        bos_token=vocab.spelling(vocab.bos) if vocab.add_bos else "",
        eos_token=vocab.spelling(vocab.eos),
        control_tokens=vocab.control_tokens,
        chat_template=model.chat_template,
        tool_chat_template=model.metadata("tokenizer.chat_template.tool_use"),
        n_embd=model.n_embd,
        text_frame=vocab.frame,
        encoder=model.is_encoder,
        fill=_fill_tokens(vocab),
        file_name=path.name,
        parallel=settings.parallel,
    )


def _fill_tokens(vocab: binding.Vocab) -> FillTokens | None:
    found = vocab.fill_tokens
    prefix, suffix, middle = found["prefix"], found["suffix"], found["middle"]
    if prefix is None or suffix is None or middle is None:
        return None
    return FillTokens(
        prefix=prefix,
        suffix=suffix,
        middle=middle,
        repository=found["repository"],
        file=found["file"],
    )
