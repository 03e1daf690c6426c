"""Every failure of the API as the one envelope of spec core 2.5. Nothing else writes an error body."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.core import exceptions as django
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from ninja import errors as ninja
from psycopg.errors import DiskFull
from pydantic import ValidationError as PydanticError

from contract import ids
from contract.errors import (
    ApiError,
    AuthenticationFailed,
    Conflict,
    InvalidRequest,
    NoRoom,
    NotFound,
    PermissionDenied,
    RateLimited,
    TooLarge,
    Unavailable,
)
from contract.sentences import sentence

if TYPE_CHECKING:
    from ninja import NinjaAPI

log = logging.getLogger(__name__)

BROKEN_JSON = "The request body is not valid JSON."
BODY_TOO_LARGE = "The request body is larger than 32 MB."
INTERNAL = "Something failed inside the server; the log has the details under this request id."
BY_STATUS: dict[int, tuple[type[ApiError], str]] = {
    400: (InvalidRequest, "The request could not be read."),
    401: (AuthenticationFailed, "The API key is missing or invalid."),
    403: (PermissionDenied, "This is not allowed."),
    404: (NotFound, "No such path."),
    409: (Conflict, "The object changed meanwhile."),
    413: (TooLarge, BODY_TOO_LARGE),
}


class MethodNotAllowed(ApiError):
    """405: the path exists, with other methods."""

    status = 405
    type = "invalid_request_error"


def install(api: NinjaAPI) -> None:
    """Send every exception of the API's operations through ``respond``."""

    def handle(request: HttpRequest, error: Exception) -> HttpResponse:
        return respond(request, as_api_error(error))

    for family in (Exception, Http404, ApiError, ninja.HttpError, ninja.ValidationError):
        api.add_exception_handler(family, handle)  # type: ignore[arg-type]  # one handler for all of them


def respond(request: HttpRequest, error: ApiError) -> JsonResponse:
    """The envelope with its status and headers."""
    response = JsonResponse(envelope(error, request_id(request)), status=error.status)
    if isinstance(error, Conflict):
        response["x-should-retry"] = "true" if error.retry else "false"
    if isinstance(error, RateLimited):
        response["retry-after"] = str(error.retry_after)
    return response


def envelope(error: ApiError, request_id: str) -> dict[str, Any]:
    """The body of an answer that tells of ``error``."""
    body: dict[str, Any] = {"type": error.type, "message": error.message, **error.beside}
    if error.details:
        body["details"] = error.details
    return {"type": "error", "error": body, "request_id": request_id}


def request_id(request: HttpRequest) -> str:
    """The request's id, made at first use, the same in body, header and log."""
    found: str | None = getattr(request, "request_id", None)
    if found is None:
        found = ids.new_id("req")
        request.request_id = found  # type: ignore[attr-defined]  # contract.http.Request has it
    return found


def as_api_error(error: BaseException) -> ApiError:
    """Any exception as one of the family; what nobody foresaw is logged and becomes a bare 500."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ninja.ValidationError):
        return InvalidRequest(_validation(error.errors))
    if isinstance(error, PydanticError):
        return InvalidRequest(sentence([dict(one) for one in error.errors(include_url=False)]))
    if isinstance(error, ninja.HttpError):
        return _http_error(error)
    if isinstance(error, Http404 | django.ObjectDoesNotExist):
        return NotFound("No such object in this workspace.")
    if isinstance(error, django.PermissionDenied):
        return PermissionDenied("This is not allowed.")
    if isinstance(error, django.RequestDataTooBig):
        return TooLarge(BODY_TOO_LARGE)
    if isinstance(error, MultiPartParserError):
        return InvalidRequest("The multipart/form-data body could not be read: its boundary or a part is malformed.")
    if isinstance(error, django.BadRequest | django.SuspiciousOperation):
        return InvalidRequest("The request could not be read.")
    if isinstance(error, OperationalError | InterfaceError):
        return _of_database(error)
    log.error("An API request failed: %s", type(error).__name__, exc_info=error)
    return ApiError(INTERNAL)


def _of_database(error: Exception) -> ApiError:
    """A database that is away (503) or whose disk is full (507); both pass."""
    log.error("The database failed a request: %s", type(error).__name__, exc_info=error)
    if isinstance(error.__cause__, DiskFull):
        return NoRoom("The database's disk is full; make room, then try again.")
    return Unavailable("The database can't be used at the moment; try again.")


def _http_error(error: ninja.HttpError) -> ApiError:
    """Ninja's own refusals: a body that could not be parsed carries its reason as the cause."""
    cause = error.__cause__
    if isinstance(cause, ApiError | django.RequestDataTooBig):
        return as_api_error(cause)
    return by_status(error.status_code) or InvalidRequest(str(error))


def by_status(status: int) -> ApiError | None:
    """The plain error of a status, for answers made before or beside our views."""
    if status == 405:
        return MethodNotAllowed("This path does not take this method.")
    if status in BY_STATUS:
        family, text = BY_STATUS[status]
        return family(text)
    return ApiError(INTERNAL) if status >= 500 else None


def _validation(errors: list[dict[str, Any]]) -> str:
    """Ninja's locations begin with the source and our argument's name; the caller knows neither."""
    if errors and errors[0]["loc"][0] == "body":
        if len(errors) == 1 and len(errors[0]["loc"]) <= 2 and errors[0]["type"] == "missing":
            return "The request needs a JSON object as its body."
        return sentence(errors, drop=2)
    return sentence([{**error, "loc": _parameter(error["loc"])} for error in errors])


def _parameter(loc: tuple[Any, ...]) -> tuple[Any, ...]:
    """The parameter's name, and the place in it where it is a list."""
    named = max((place for place, part in enumerate(loc) if isinstance(part, str)), default=0)
    return tuple(loc[named:])
