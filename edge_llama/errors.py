"""Every exception that edge_llama raises on purpose.

```
EdgeLlamaError
├── ModelFileError            a GGUF is missing, unreadable or not a Llama model
│   └── NoLanguageModel       it is a projector, an adapter or the like
├── WeightsError              weights cannot be got, kept or run here
│   ├── UnknownModel          no catalog, store or hub entry of that name
│   ├── HubUnavailable        no network, or the hub does not answer
│   ├── GatedRepository       the hub wants an accepted licence and a token
│   ├── UnsafeFileName        a name from outside would leave the store
│   ├── NotEnoughSpace        the disk is too full
│   ├── ChecksumMismatch      a file is not what it should be
│   └── DoesNotFit            it needs more memory than there is
├── SettingsError             a setting is out of range
├── StateError                the file of keys and usage cannot be used
├── RequestError              a request was refused before any work (param, code)
│   ├── InvalidValue          a field has a value that cannot be used
│   ├── UnsupportedParameter  a field would change the output and is not implemented
│   ├── ContextLengthExceeded the prompt does not fit (n_ctx, prompt_tokens)
│   ├── RequestCrashesEngine  the engine crashed each time it ran
│   ├── ModelNotFound         no model of that name is served
│   ├── LimitReached          the key has used what it may for now (retry_after, seconds)
│   ├── BudgetExceeded        the key has used what it may
│   └── ModelNotAllowed       the key may not use that model
├── TemplateError             a GGUF's chat template failed or hit a limit
└── EngineError               the engine process
    ├── EngineStartError      it could not load the model
    │   └── EngineKilled      because it was killed (retry_after, seconds)
    ├── EngineUnavailable     it is not ready (retry_after, seconds)
    ├── EngineDied            it ended while the request was running
    └── RequestTimedOut       the request took longer than it may
```
"""

from __future__ import annotations


class EdgeLlamaError(Exception):
    """The base of all errors of this package. Its text is fit to be shown to a user."""


class ModelFileError(EdgeLlamaError):
    """A model file is missing, unreadable or not a model that can be run."""


class NoLanguageModel(ModelFileError):
    """A GGUF belongs to a model and is none: a projector, an adapter, calibration data."""


class WeightsError(EdgeLlamaError):
    """Weights cannot be got, kept or run on this machine."""


class UnknownModel(WeightsError):
    """Neither the catalog, the store nor the hub has a model of that name."""


class HubUnavailable(WeightsError):
    """There is no network, or the hub does not answer as it should."""


class GatedRepository(WeightsError):
    """The hub gives these files only to accounts that accepted their licence."""


class UnsafeFileName(WeightsError):
    """A file name that came from outside would lie outside the store."""


class NotEnoughSpace(WeightsError):
    """The disk is too full."""


class ChecksumMismatch(WeightsError):
    """A file does not have the sha256 it should have."""


class DoesNotFit(WeightsError):
    """A model needs more memory than there is; the text has the numbers and what would fit."""


class SettingsError(EdgeLlamaError):
    """A setting is out of range; the text names it and the remedy."""


class StateError(EdgeLlamaError):
    """The file that holds keys and their usage cannot be used; the text names it."""


class RequestError(EdgeLlamaError):
    """A request was refused before any work was done.

    Args:
        message: what is wrong and what to do about it.
        param: the request field at fault, e.g. `messages[0].content`.
        code: OpenAI's error code.
    """

    default_code: str | None = None

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.default_code


class InvalidValue(RequestError):
    """A field has a value that cannot be used."""

    default_code = "invalid_value"


class UnsupportedParameter(RequestError):
    """A field would change the output and is not implemented."""

    default_code = "unsupported_parameter"


class ContextLengthExceeded(RequestError):
    """The prompt leaves no room for a single token of output.

    Args:
        n_ctx: tokens that fit into the context.
        prompt_tokens: tokens of the prompt.
    """

    default_code = "context_length_exceeded"

    def __init__(self, n_ctx: int, prompt_tokens: int, *, param: str = "messages") -> None:
        super().__init__(
            f"This model's maximum context length is {n_ctx} tokens. However, your prompt has "
            f"{prompt_tokens} tokens. Shorten it, or serve the model with a larger `ctx_size`.",
            param=param,
        )
        self.n_ctx = n_ctx
        self.prompt_tokens = prompt_tokens


class RequestCrashesEngine(RequestError):
    """The engine crashed each time this request ran."""

    default_code = "request_crashes_engine"


class ModelNotFound(RequestError):
    """No model of that name is served."""

    default_code = "model_not_found"


class LimitReached(RequestError):
    """A key has used what it may for now.

    Args:
        message: which limit.
        retry_after: seconds after which a retry makes sense.
    """

    default_code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BudgetExceeded(RequestError):
    """A key has used all that it may."""

    default_code = "budget_exceeded"


class ModelNotAllowed(RequestError):
    """A key may not use that model."""

    default_code = "model_not_allowed"


class TemplateError(EdgeLlamaError):
    """A GGUF's own chat template failed, or ran into its time or output limit."""


class EngineError(EdgeLlamaError):
    """The engine process failed."""


class EngineStartError(EngineError):
    """The engine process could not load the model."""


class EngineKilled(EngineStartError):
    """The engine process was killed from outside while it loaded the model.

    Attributes:
        retry_after: seconds after which a retry makes sense.
    """

    retry_after = 1.0


class EngineUnavailable(EngineError):
    """The engine process is not ready.

    Args:
        retry_after: seconds after which a retry makes sense.
    """

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EngineDied(EngineError):
    """The engine process ended while the request was running."""


class RequestTimedOut(EngineError):
    """The request took longer than it may."""
