"""Spans and measures by the OpenTelemetry API. Nothing happens unless ``config.telemetry`` knows where to send them.

One trace leads from an API call through the worker's turn to its model requests, tools and sandbox. Between processes
its context travels in the private part of log entries (``carrier``), which no reader sees. What people and models
said is left out unless ``content_allowed`` is set, and even then goes through ``redact``.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import context, metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.trace import Span

SCOPE = "holdfast"
FIELD = "traceparent"
MAX_CONTENT = 16_000
HIDDEN = "[hidden]"
SECRETS = (
    r"(?i)(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}",
    r"\b(?:sk|whsec|hfst|ghp|gho|github_pat|xox[abp])[-_][A-Za-z0-9_+/=-]{8,}",
    r"(?i)(?:api[_-]?key|token|secret|password)\"?\s*[:=]\s*\"?[^\s\",}]{4,}",
)

tracer = trace.get_tracer(SCOPE)
meter = metrics.get_meter(SCOPE)
tokens = meter.create_histogram("gen_ai.client.token.usage", unit="{token}", description="Tokens of model requests.")
model_seconds = meter.create_histogram("gen_ai.client.operation.duration", unit="s", description="Model requests.")
tool_seconds = meter.create_histogram("gen_ai.execute_tool.duration", unit="s", description="Tool calls.")
request_seconds = meter.create_histogram("http.server.request.duration", unit="s", description="API requests.")

_propagator = TraceContextTextMapPropagator()
_patterns: list[re.Pattern[str]] = []
_content = False


def configure(*, content: bool, patterns: Sequence[str] = ()) -> None:
    """Whether what was said goes out, and what is hidden in it besides what looks like a secret."""
    global _content
    _content = content
    _patterns[:] = [re.compile(pattern) for pattern in (*SECRETS, *patterns)]


def content_allowed() -> bool:
    return _content


def redact(text: str) -> str:
    """``text`` without what the rules hide, cut to a bounded length."""
    for pattern in _patterns:
        text = pattern.sub(HIDDEN, text)
    return text[:MAX_CONTENT]


@contextmanager
def span(
    name: str,
    attributes: Mapping[str, Any] | None = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: str | None = None,
) -> Iterator[Span]:
    """A span around the block, below ``parent`` (a traceparent) or the current one.

    An exception marks it as failed by its type; its text, which may hold anything, stays here.
    """
    known = {key: value for key, value in (attributes or {}).items() if value is not None}
    above = _propagator.extract({FIELD: parent}) if parent else None
    with tracer.start_as_current_span(
        name, above, kind, known, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except Exception as error:
            failed(current, type(error).__name__)
            raise


def failed(current: Span, kind: str) -> None:
    current.set_status(Status(StatusCode.ERROR, kind))
    current.set_attribute("error.type", kind)


def carrier() -> str | None:
    """The current span as a traceparent, for whoever goes on elsewhere; None outside of any."""
    found: dict[str, str] = {}
    _propagator.inject(found)
    return found.get(FIELD)


def here() -> context.Context:
    """The current context, for another thread: ``with tracing.within(here): …``."""
    return context.get_current()


@contextmanager
def within(current: context.Context) -> Iterator[None]:
    token = context.attach(current)
    try:
        yield
    finally:
        context.detach(token)


def say(current: Span, name: str, text: str) -> None:
    """Put words on a span if they may leave."""
    if _content and current.is_recording():
        current.set_attribute(name, redact(text))
