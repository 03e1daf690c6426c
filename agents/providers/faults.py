"""What went wrong with a model request, in our words: every exception the SDK lets out."""

from __future__ import annotations

import contextlib
import email.utils
import math
import re
import time
from typing import Any

from agents.providers.base import ErrorKind, ProviderError

MESSAGE_LIMIT = 500

_CONTEXT = re.compile(
    r"prompt is too long|context (?:length|window|size)|exceed_context_size"
    r"|exceeds? the (?:available |maximum )?context|input is too long"
    r"|input length and .?max_tokens.? exceed",
    re.IGNORECASE,
)
_CREDIT = re.compile(r"credit balance|insufficient (?:credits|quota|funds)", re.IGNORECASE)
_SPEND_CODES = ("contract_spend_limit_reached", "enforced_spend_limit_reached")

_BY_TYPE: dict[str, tuple[ErrorKind, bool]] = {
    "overloaded_error": ("overloaded", True),
    "rate_limit_error": ("rate_limited", True),
    "billing_error": ("billing", False),
    "authentication_error": ("authentication", False),
    "permission_error": ("authentication", False),
    "request_too_large": ("context_exceeded", False),
    "timeout_error": ("request_failed", True),
    "api_error": ("request_failed", True),
}
_BY_STATUS: dict[int, tuple[ErrorKind, bool]] = {
    401: ("authentication", False),
    402: ("billing", False),
    403: ("authentication", False),
    408: ("request_failed", True),
    409: ("request_failed", True),
    413: ("context_exceeded", False),
    429: ("rate_limited", True),
    503: ("overloaded", True),
    529: ("overloaded", True),
}


def classify(error: Exception, *, secrets: tuple[str, ...] = ()) -> ProviderError:
    """The ``ProviderError`` for anything a model request may raise.

    ``secrets`` are cut out of the message: servers like to quote the key they refuse.
    """
    import anthropic
    import httpx2

    if isinstance(error, anthropic.APIStatusError):
        return _of_status(error, secrets)
    cause = error.__cause__ if isinstance(error, anthropic.APIConnectionError) else error
    if isinstance(error, anthropic.APITimeoutError) or isinstance(cause, httpx2.TimeoutException):
        return _failed("The model did not answer in time.", retryable=True)
    if isinstance(cause, httpx2.UnsupportedProtocol | httpx2.InvalidURL):
        return _failed("The model's address is not a usable http(s) URL.", retryable=False)
    if isinstance(cause, httpx2.HTTPError):
        detail = masked(str(cause) or type(cause).__name__, secrets)
        return _failed(f"The connection to the model failed: {detail}", retryable=True)
    if isinstance(error, ValueError):
        return _failed("The model's reply could not be read: broken JSON.", retryable=True)
    return _failed(masked(f"The model request failed: {error}", secrets), retryable=True)


def of_error_event(data: str, *, secrets: tuple[str, ...] = ()) -> ProviderError:
    """The ``ProviderError`` for an ``event: error`` in the middle of a stream."""
    from pydantic_core import from_json

    try:
        body: object = from_json(data)
    except ValueError:
        body = None
    error = body.get("error") if isinstance(body, dict) else None
    fields = error if isinstance(error, dict) else {}
    kind, retryable = _BY_TYPE.get(str(fields.get("type")), ("request_failed", True))
    message = masked(str(fields.get("message") or "no reason given"), secrets)
    if _CONTEXT.search(message):
        kind, retryable = "context_exceeded", False
    return ProviderError(kind, f"The model broke off: {message}", retryable=retryable)


def context_exceeded() -> ProviderError:
    """For a reply that stopped with ``model_context_window_exceeded``."""
    return ProviderError("context_exceeded", "The conversation no longer fits the model.", retryable=False)


def masked(message: str, secrets: tuple[str, ...]) -> str:
    """``message`` without the secrets, and short."""
    for secret in secrets:
        if len(secret) >= 4:
            message = message.replace(secret, "[hidden]")
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"


def _of_status(error: Any, secrets: tuple[str, ...]) -> ProviderError:
    status = int(error.status_code)
    text = str(error.api_message or error.message)
    kind, retryable = _kind(status, error.type, error.error_code, text)
    wish = error.response.headers.get("x-should-retry")
    if wish in ("true", "false"):
        retryable = wish == "true"
    return ProviderError(
        kind,
        masked(f"The model's server answered {status}: {text}", secrets),
        retryable=retryable,
        retry_after=retry_after(error.response.headers),
    )


def _kind(status: int, type_: str | None, code: str | None, text: str) -> tuple[ErrorKind, bool]:
    if code in _SPEND_CODES or (status < 500 and _CREDIT.search(text)):
        return "billing", False
    if status in (400, 413, 422) and _CONTEXT.search(text):
        return "context_exceeded", False
    if type_ in _BY_TYPE:
        return _BY_TYPE[type_]
    return _BY_STATUS.get(status, ("request_failed", status >= 500))


def retry_after(headers: Any) -> float | None:
    """Seconds the server asks to wait (``retry-after-ms``, ``retry-after`` as seconds or
    date), never negative; ``None`` when it does not say, or nothing that is a time.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        seconds = _seconds(value, unit)
        if seconds is not None and math.isfinite(seconds):
            return max(seconds, 0.0)
    return None


def _seconds(value: str, unit: float) -> float | None:
    with contextlib.suppress(ValueError):
        return float(value) * unit
    with contextlib.suppress(ValueError, OverflowError):
        parsed = email.utils.parsedate_tz(value)
        return email.utils.mktime_tz(parsed) - time.time() if parsed is not None else None
    return None


def _failed(message: str, *, retryable: bool) -> ProviderError:
    return ProviderError("request_failed", message, retryable=retryable)
