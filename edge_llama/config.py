"""Settings: frozen, composed, validated once."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias, get_args

from edge_llama.errors import SettingsError

MIN_CTX_SIZE = 64
DEFAULT_CTX_SIZE = 8192

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{1,5})?")

PROGRESS_TOKENS = 128
"""Most tokens that a prompt whose progress is told is read by at once."""

SCORED_TOKENS = 64
FEW_SCORED_TOKENS = 32
"""Most prompt tokens of a step whose log-probabilities are told. Each needs two rows of logits, a
megabyte with Llama 3.1, so it is the smaller number where memory is short, and while others decode:
such tokens take longer than what is known of a step's cost. Of Llama 3.2 1B, 153 tokens a second
were read with 256, 138 with 128, 132 with 64 and 100 with 32; without scores, for which a quarter
more is multiplied, 218.
"""


ENCODERS = frozenset(
    {
        "bert",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
    }
)
"""Architectures that read a text in both directions and that llama.cpp gives no KV cache."""


KVType: TypeAlias = Literal["f16", "q8_0"]
ContextOverflow: TypeAlias = Literal["refuse", "truncate_oldest"]
"""What becomes of a conversation that is too long."""
KVLayout: TypeAlias = Literal["unified", "streams"]


ATTENDED = 2**18
DEEP_STEP = 64
"""Without flash attention, llama.cpp keeps scores of all tokens that it computes at once with all
that they attend to, for each head. So many pairs are computed at once, or those of so many tokens.
That costs no time: Llama 3.2 1B reads at a depth of 2,048 to 4,096 87 tokens a second with 64 at
once and 85 with 256.
"""


def most_at_once(depth: int) -> int:
    """Tokens that are computed at once without flash attention, at so many tokens of context."""
    return max(DEEP_STEP, ATTENDED // max(1, depth) // DEEP_STEP * DEEP_STEP)


class StepCost(NamedTuple):
    """What a step took when it was measured.

    Attributes:
        size: tokens of the step.
        depth: tokens in the KV cache after it.
        seconds: how long it took.
    """

    size: int
    depth: int
    seconds: float


def sequence_ids(kv_layout: KVLayout | None, parallel: int, cached_sequences: int) -> int:
    """Sequences that have KV at the same time: running ones, and prefixes that are kept.

    Each has cells of its own with streams, so prefixes are kept where nobody runs.
    """
    return parallel if kv_layout == "streams" else parallel + cached_sequences


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """Where prompts that were read are kept on disk.

    Attributes:
        folder: an absolute path; it need not exist.
        max_bytes: most bytes of all that is kept there, of all models.
        prefix: a file of `edge-llama warm --export`, which is put there first.

    Raises:
        SettingsError: there is no room at all.
    """

    folder: str
    max_bytes: int
    prefix: str | None = None

    def __post_init__(self) -> None:
        if self.max_bytes <= 0:
            raise SettingsError("The prefix cache on disk needs more than 0 bytes.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How one model is run.

    Attributes:
        model: path of a GGUF file.
        ctx_size: tokens of the longest request, and of all that run together unless `kv_layout`
            gives each as many; None takes the model's own, at most `DEFAULT_CTX_SIZE`.
        parallel: requests that run at the same time; others wait.
        threads: threads of a decode step; None chooses for the CPUs that the engine may use.
        threads_batch: threads of a prefill step; None takes `threads`, or chooses too.
        batch_size: most tokens in one step.
        max_stall: seconds that a step may take while a request is decoding, so that a long prompt
            does not stop running streams; None is the longer of 0.5 and four steps in which
            one stream decodes.
        cached_sequences: most finished requests whose KV is kept for prompts that begin alike.
        micro_batch: most tokens that llama.cpp computes at once; the memory of a step grows with
            it.
        scored_tokens: most tokens of a prompt whose log-probabilities are told by one step; each
            takes memory for a row of logits.
        kv_type: how keys and values are stored. q8_0 takes half the memory of f16 and needs flash
            attention. None is f16.
        kv_layout: `unified` lets all requests share `ctx_size` tokens, and prompts that begin alike
            the cells of their beginning. `streams` reserves `ctx_size` for each of `parallel`: many
            at once are faster, and what is reused is copied. None is `unified`.
        flash_attention: None chooses: off on a CPU, where llama.cpp's is slow to decode, unless
            `kv_type` needs it.
        repack: let llama.cpp rearrange weights at load for this CPU (faster decode, slower
            prefill and load, weights in memory twice).
        mmap: map the file instead of reading it at load: it is there at once, other processes share
            it, and the system may drop and read again what is not used.
        gpu_layers: layers on the GPU; -1 is all, which without one (Metal) means none.
        max_tokens: most tokens of output of a request, whatever it asks for; None is what fits.
        request_timeout: seconds after which a request that is not finished ends with an error; None
            never ends one.
        memory_limit: bytes that the engine may take, weights that are mapped from their file not
            counted; the kernel refuses much more, where it can. None sets no limit.
        step_costs: what steps took with these settings on this machine before; what they take now
            counts more.
        disk_cache: where the KV of prompts is kept beyond the engine's end; None keeps none.

    Raises:
        SettingsError: a number is out of range.
    """

    model: str
    ctx_size: int | None = None
    parallel: int = 4
    threads: int | None = None
    threads_batch: int | None = None
    batch_size: int = 512
    max_stall: float | None = None
    cached_sequences: int = 32
    micro_batch: int = 256
    scored_tokens: int = SCORED_TOKENS
    kv_type: KVType | None = None
    kv_layout: KVLayout | None = None
    flash_attention: bool | None = None
    repack: bool = False
    mmap: bool = True
    gpu_layers: int = -1
    max_tokens: int | None = None
    request_timeout: float | None = None
    memory_limit: int | None = None
    step_costs: tuple[StepCost, ...] = ()
    disk_cache: CacheSettings | None = None

    def __post_init__(self) -> None:
        if self.ctx_size is not None:
            _in_range("--ctx-size", self.ctx_size, MIN_CTX_SIZE, 1 << 24)
        _in_range("--parallel", self.parallel, 1, 64)
        if self.threads is not None:
            _in_range("--threads", self.threads, 1, 512)
        if self.threads_batch is not None:
            _in_range("--threads-batch", self.threads_batch, 1, 512)
        _in_range("--batch-size", self.batch_size, self.parallel + 1, 8192)
        if self.max_stall is not None and not 0.01 <= self.max_stall <= 3600:
            raise SettingsError(
                f"--max-stall must be between 0.01 and 3600 seconds, not {self.max_stall:g}."
            )
        _in_range("--cached-sequences", self.cached_sequences, 0, 128)
        if self.max_tokens is not None:
            _in_range("--max-tokens", self.max_tokens, 1, 1 << 24)
        if self.request_timeout is not None and not self.request_timeout > 0:
            raise SettingsError("--request-timeout must be more than 0 seconds.")
        _in_range("micro_batch", self.micro_batch, 1, 8192)
        _in_range("scored_tokens", self.scored_tokens, 1, 8192)
        if self.kv_type not in (None, *get_args(KVType)):
            raise SettingsError(f"The KV cache can be f16 or q8_0, not {self.kv_type!r}.")
        if self.kv_layout not in (None, *get_args(KVLayout)):
            raise SettingsError(
                f"The layout of the KV cache can be unified or streams, not {self.kv_layout!r}."
            )
        if self.kv_type == "q8_0" and self.flash_attention is False:
            raise SettingsError(
                f"A KV cache of {self.kv_type} needs flash attention. Switch it on, or take f16."
            )

    @property
    def n_seq_max(self) -> int:
        """Sequences that have KV at the same time: running ones, and prefixes that are kept."""
        return sequence_ids(self.kv_layout, self.parallel, self.cached_sequences)


class HashedKey(NamedTuple):
    """An API key, of which only a hash is kept.

    Attributes:
        name: whose it is.
        digest: SHA-256 of the key. It needs no salt: keys are random, not passwords.
    """

    name: str
    digest: bytes


def hash_key(key: str) -> bytes:
    """SHA-256 of an API key without the blanks around it."""
    return hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may ask of the HTTP server, and how long it may take.

    Attributes:
        max_requests: most requests of one API key that run or wait.
        max_n: most choices of one request.
        max_body_bytes: largest request body; reading it holds up all other requests.
        max_connections: most connections that are served at a time; more replace idle ones, or get
            a 503. None is what the operating system's limit of open files leaves.
        receive_seconds: from the first byte of a request to its last, and from connecting to it.
        idle_seconds: how long a connection may stay open between two requests.
        stalled_seconds: how long a client may leave what is ready of its answer unread.
    """

    max_requests: int = 132
    max_n: int = 8
    max_body_bytes: int = 2 * 1024 * 1024
    max_connections: int | None = None
    receive_seconds: float = 25.0
    idle_seconds: float = 75.0
    stalled_seconds: float = 60.0

    def __post_init__(self) -> None:
        _in_range("--max-n", self.max_n, 1, 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How the HTTP server behaves.

    Attributes:
        host: address to listen on.
        port: 0 picks a free port.
        api_key: when set, every route but /health wants it, or one of `api_keys`, as a Bearer
            token.
        api_keys: more keys, looked at for each request, so that they may change.
        insecure_no_key: allow an address that others can reach without any key.
        share_prefixes: let requests with different API keys share what is computed of prompts that
            begin alike; how fast an answer begins then tells whether another key sent its prompt.
        allowed_hosts: names besides this machine's loopback names and all addresses that requests
            may be sent to; `*` allows any.
        cors_origins: web pages of these origins may use the server from a browser; `*` is all.
        context_overflow: what becomes of a conversation that is too long, if its request does not
            tell: it is refused, or loses its oldest turns.
        strict: refuse requests that have a field which is not used.
        keep_alive_seconds: silence on a stream after which a newline is sent; a stream that is
            neither accepted nor refused by then gets its headers.
        drain_timeout: seconds that running requests may go on after the first signal to end.
        exit_with_parent: end when the process that started this one has ended.
        log_prompts: write request bodies to the log; nothing else ever shows what users say.
        limits: what clients may ask for.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = None
    api_keys: Iterable[HashedKey] = ()
    insecure_no_key: bool = False
    share_prefixes: bool = False
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    context_overflow: ContextOverflow = "refuse"
    strict: bool = False
    keep_alive_seconds: float = 10.0
    drain_timeout: float = 7.0
    exit_with_parent: bool = False
    log_prompts: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        _in_range("--port", self.port, 0, 65535)
        if self.api_key is not None:
            _check_api_key(self.api_key.strip())
        if not (self.keys or self.insecure_no_key or is_loopback(self.host)):
            raise SettingsError(
                f"--host {self.host} lets others in, and there is no API key. Set one with "
                "EDGE_LLAMA_API_KEY or --api-key-file, or allow everyone with --insecure-no-key."
            )
        if not 0 <= self.drain_timeout <= 3600:
            raise SettingsError(
                f"--drain-timeout must be between 0 and 3600 seconds, not {self.drain_timeout:g}."
            )
        for host in self.allowed_hosts:
            _check_host(host)
        for origin in self.cors_origins:
            _check_origin(origin)

    @property
    def keys(self) -> tuple[HashedKey, ...]:
        """All keys that open it now; none at all leaves it open."""
        if self.api_key is None:
            return tuple(self.api_keys)
        return (HashedKey("", hash_key(self.api_key)), *self.api_keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """Which models stay in memory.

    Attributes:
        memory: bytes that all loaded models may need together; None sets no limit.
        keep_alive: seconds that a model stays loaded after its last use; None is for ever.
        turn: seconds that a model in use goes on taking requests while another one waits for its
            memory.
        patience: seconds that a request waits for other models to make room.
        first_backoff: seconds before a model that could not be loaded is tried again; doubled
            with each further failure.
        max_backoff: most seconds before it is tried again.
    """

    memory: int | None = None
    keep_alive: float | None = 600.0
    turn: float = 30.0
    patience: float = 120.0
    first_backoff: float = 1.0
    max_backoff: float = 60.0


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def _check_api_key(key: str) -> None:
    if not key:
        raise SettingsError("--api-key is empty. Give a key, or leave the option out.")
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(
            "--api-key has characters that a header cannot carry. Take a key of ASCII letters, "
            "digits and signs."
        )


def _check_host(host: str) -> None:
    if host != "*" and not _HOST.fullmatch(host):
        raise SettingsError(
            f"--allowed-host {host!r} is no name of a machine. Write it without scheme and port, "
            "such as llama.example.org, or * for any."
        )


def _check_origin(origin: str) -> None:
    if origin != "*" and not _ORIGIN.fullmatch(origin):
        raise SettingsError(
            f"--cors-origin {origin!r} is no origin. Write scheme, name and port as the browser "
            "does, such as https://app.example.org or http://localhost:3000, or * for any."
        )


def _in_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SettingsError(f"{name} must be between {low} and {high}, not {value}.")
