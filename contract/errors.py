"""Failures a caller can do something about (spec core 2.5). Raised anywhere, mapped in one place."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """Base of the family: an HTTP status, the envelope's ``error.type`` and one plain sentence.

    ``error_code`` goes into ``error.details`` (the SDK maps it to typed exceptions). ``beside`` holds fields
    that a few kinds of error have next to their message.
    """

    status = 500
    type = "api_error"

    def __init__(self, message: str, *, error_code: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.beside: dict[str, Any] = {}
        self.details: dict[str, Any] = {**({"error_code": error_code} if error_code else {}), **details}


class InvalidRequest(ApiError):
    """400: the request can't be carried out as it stands; the text names the field."""

    status = 400
    type = "invalid_request_error"


class AuthenticationFailed(ApiError):
    """401: no key, or one that is unknown, expired or revoked."""

    status = 401
    type = "authentication_error"


class PermissionDenied(ApiError):
    """403: the key's role or workspace doesn't allow this."""

    status = 403
    type = "permission_error"


class NotFound(ApiError):
    """404: no such object in the caller's workspace."""

    status = 404
    type = "not_found_error"


class Conflict(ApiError):
    """409: the object changed meanwhile or the name is taken. ``retry`` tells the client whether to ask again."""

    status = 409
    type = "conflict_error"

    def __init__(self, message: str, *, retry: bool = False, error_code: str | None = None, **details: Any) -> None:
        super().__init__(message, error_code=error_code, **details)
        self.retry = retry


class TooLarge(ApiError):
    """413: body or upload over its limit."""

    status = 413
    type = "request_too_large"


class NoRoom(ApiError):
    """507: the disk is full. What was to be stored may be sent again once there is room."""

    status = 507


class Unavailable(ApiError):
    """503: something that the server needs can't be reached. The request may be sent again."""

    status = 503


class RateLimited(ApiError):
    """429, with ``retry-after`` in whole seconds."""

    status = 429
    type = "rate_limit_error"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
