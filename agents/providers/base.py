"""What a model provider must offer: one turn of a conversation, streamed, or a classified error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from agents.providers.wire import Encoded

ErrorKind = Literal["overloaded", "rate_limited", "billing", "authentication", "context_exceeded", "request_failed"]


class ProviderError(Exception):
    """A turn that failed. Nothing of it counts; ``retryable`` says whether asking again can help.

    ``retry_after`` (seconds) is the provider's wish, uncapped. ``kind`` maps to the
    ``session.error`` variants of spec core 13.2. The message never holds a secret.
    """

    def __init__(self, kind: ErrorKind, message: str, *, retryable: bool, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after


class TurnInterrupted(Exception):
    """Raised by ``stream`` as soon as ``should_stop`` answers true; the turn is dropped."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One Messages API request, in its wire shapes. ``tools`` are Messages API tool params.

    ``encoded``: what earlier requests of the same conversation remembered of its messages.
    ``compact``: ask for a summary of the conversation instead of the next reply.
    """

    model: str
    messages: list[dict[str, Any]]
    system: str | None = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    max_tokens: int = 16_384
    effort: str | None = None
    speed: str = "standard"
    inference_geo: str | None = None
    encoded: Encoded | None = None
    compact: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request (spec core 11.4 ``model_usage``, plus the 5 m / 1 h split)."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cache_creation_5m: int = 0
    cache_creation_1h: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class ModelReply:
    """A whole reply. ``content`` holds Messages API blocks as they must be sent back unchanged
    (text, thinking, redacted_thinking, tool_use). ``stop_reason`` is never None.

    ``model`` and ``speed`` are what served the turn, so what it is priced by. ``broken_inputs``
    maps the id of a tool_use whose input did not arrive as a JSON object to the text that did
    arrive (cut at 2,000 characters); its ``input`` is ``{}`` and it must not be run.
    """

    model: str
    content: list[dict[str, Any]]
    stop_reason: str
    usage: Usage
    stop_details: dict[str, Any] | None = None
    request_id: str | None = None
    speed: str = "standard"
    broken_inputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamPart:
    """Progress while a reply streams. ``text`` is empty for the two ``started`` kinds.

    ``waiting``: the request waits for its turn with the model's server, for ``seconds`` more at most (None: for as long
    as others are answered); ``asked`` ends such a wait. Neither is part of the reply.
    """

    kind: Literal["thinking_started", "text_started", "text", "waiting", "asked"]
    index: int = 0
    text: str = ""
    seconds: float | None = None


WAITS = frozenset({"waiting", "asked"})  # the kinds that are no part of a reply
OnPart = Callable[[StreamPart], None]
ShouldStop = Callable[[], bool]


@runtime_checkable
class Waking(Protocol):
    """A ``ShouldStop`` that need not be asked while its descriptor is not readable: its answer is the same."""

    def __call__(self) -> bool:
        """Whether to stop."""

    def fileno(self) -> int:
        """What to poll."""

    def silence(self) -> None:
        """Make the descriptor not readable, before it is asked."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a provider says of a model; ``None`` where it does not say."""

    id: str
    display_name: str
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    media: frozenset[str] | None = None  # what it takes besides text: "image", "pdf"


class Provider(Protocol):
    """A place where models run. Implementations are thread-safe and hold no conversation."""

    name: str

    def stream(self, request: ModelRequest, on_part: OnPart, should_stop: ShouldStop) -> ModelReply:
        """Run one turn. Raises ``ProviderError`` or ``TurnInterrupted``; never half a reply.

        ``should_stop`` is asked at every chunk and at least four times a second, so that an
        interrupt also ends a stream that stalls; one that is ``Waking``, at least when it wakes.
        """

    def compact(self, request: ModelRequest, on_part: OnPart, should_stop: ShouldStop) -> ModelReply | None:
        """Have the server summarise the conversation: the reply holds one ``compaction`` block, which later requests
        send first, as the assistant's, in place of all before it. None where the server is known not to do that; a
        reply without such a block means the same, found out now. ``on_part`` hears of waits alone. Raises as ``stream``
        does.
        """

    def models(self) -> list[ModelInfo]:
        """The models that can be named; empty when the provider cannot list them."""
