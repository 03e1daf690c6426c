"""Traces and metrics out by OTLP, if the operator says where to (``OTEL_EXPORTER_OTLP_ENDPOINT``).

Everything leaves from a background thread with a bounded queue: a collector that is slow or away costs a request
nothing, and what doesn't fit is dropped.
"""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING, Any

from config.readers import SettingError
from contract import tracing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from config.env import Holdfast

log = logging.getLogger(__name__)

QUEUE = 4096
EXPORT_SECONDS = 5
METRICS_SECONDS = 30
_started = False
_held = False


def hold() -> None:
    """Don't start with the application: this process only loads it, and is forked later."""
    global _held
    _held = True


def release(settings: Holdfast, service: str) -> None:
    """In the fork of a process that held back."""
    global _held
    _held = False
    start(settings, service)


def patterns(text: str) -> tuple[str, ...]:
    """Regular expressions, one a line, of what is hidden in content that goes out."""
    found = tuple(line.strip() for line in text.splitlines() if line.strip())
    for pattern in found:
        try:
            re.compile(pattern)
        except re.error as error:
            raise SettingError(f"TELEMETRY_REDACT has {pattern!r}, which is no regular expression: {error}.") from None
    return found


def start(settings: Holdfast, service: str) -> None:
    """Send from this process on. Without an endpoint nothing is loaded or sent; a second call does nothing."""
    global _started
    if not settings.telemetry_endpoint or _started or _held:
        return
    _started = True
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    # The exporter tells of every batch that a collector didn't take; once is enough.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    class Once(SpanExporter):
        """Says once that the collector is away, and once that it is back."""

        def __init__(self, inner: SpanExporter) -> None:
            self._inner, self._away = inner, False

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            try:
                result = self._inner.export(spans)
            except Exception:
                result = SpanExportResult.FAILURE
            away = result is not SpanExportResult.SUCCESS
            if away != self._away:
                log.warning("The telemetry collector %s.", "takes nothing; spans are dropped" if away else "is back")
            self._away = away
            return result

        def shutdown(self) -> None:
            self._inner.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return self._inner.force_flush(timeout_millis)

    endpoint, headers = settings.telemetry_endpoint.rstrip("/"), _headers(settings)
    names = {"service.name": "holdfast", "service.namespace": settings.instance, "service.instance.id": service}
    resource = Resource.create({**names, "process.pid": os.getpid()})
    tracing.configure(content=settings.telemetry_content, patterns=settings.telemetry_redact)
    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(f"{endpoint}/v1/traces", headers=headers, timeout=EXPORT_SECONDS)
    provider.add_span_processor(
        BatchSpanProcessor(Once(exporter), max_queue_size=QUEUE, schedule_delay_millis=1000, max_export_batch_size=512)
    )
    trace.set_tracer_provider(provider)
    measured = OTLPMetricExporter(f"{endpoint}/v1/metrics", headers=headers, timeout=EXPORT_SECONDS)
    reader = PeriodicExportingMetricReader(measured, METRICS_SECONDS * 1000, EXPORT_SECONDS * 1000)
    metrics.set_meter_provider(MeterProvider([reader], resource=resource))


def _headers(settings: Holdfast) -> dict[str, str]:
    """``name=value`` pairs with commas between, as OpenTelemetry writes them."""
    pairs = (pair.partition("=") for pair in settings.telemetry_headers.reveal().split(",") if pair.strip())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


class ApiSpans:
    """A span around every API request, below the caller's own if it sent a ``traceparent``."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        if not request.path.startswith("/v1/"):
            return self.get_response(request)
        import time

        from opentelemetry.trace import SpanKind

        begun = time.monotonic()
        about = {"http.request.method": request.method, "url.path": request.path}
        parent = request.headers.get(tracing.FIELD)
        with tracing.span("anthropic.api", about, kind=SpanKind.SERVER, parent=parent) as current:
            response = self.get_response(request)
            name = operation(request)
            if current.is_recording():
                self._describe(current, request, response, name)
        taken = {"http.response.status_code": response.status_code, "http.route": name}
        tracing.request_seconds.record(time.monotonic() - begun, taken)
        return response

    def _describe(self, current: Any, request: Any, response: Any, name: str) -> None:
        current.update_name(name)
        current.set_attribute("http.response.status_code", response.status_code)
        current.set_attribute("anthropic.request.id", response.get("request-id", ""))
        acting = getattr(request, "acting", None)
        if acting is not None:
            current.set_attribute("anthropic.workspace.id", acting.workspace_id)
        match = request.resolver_match
        for argument, attribute in NAMED.items():
            if match is not None and argument in match.kwargs:
                current.set_attribute(attribute, str(match.kwargs[argument]))
        if response.status_code >= 500:
            tracing.failed(current, str(response.status_code))


NAMED = {
    "session_id": "anthropic.session.id",
    "thread_id": "anthropic.session.thread.id",
    "environment_id": "anthropic.environment.id",
    "work_id": "anthropic.environment.work.id",
}


def operation(request: Any) -> str:
    """``anthropic.sessions.events.send``: the SDK's name of what was called."""
    match = request.resolver_match
    if match is None:
        return "anthropic.api"
    return f"anthropic.{_operations().get((request.method, match.route), 'api')}"


def _operations() -> dict[tuple[str, str], str]:
    """(method, Django's route) -> operation id, of every operation of the API."""
    if not _names:
        from config.api import api

        for prefix, router in api._routers:
            for path, view in router.path_operations.items():
                route = f"v1/{prefix.strip('/')}/{path.lstrip('/')}".replace("{", "<").replace("}", ">")
                for one in view.operations:
                    for method in one.methods:
                        _names[(method, re.sub("/+", "/", route).rstrip("/"))] = one.operation_id or "api"
    return _names


_names: dict[tuple[str, str], str] = {}
