"""``Idempotency-Key`` on every POST under ``/v1``: a request sent again is answered again, not carried out again.

What a request does and the answer to it are committed together, in one transaction, under a lock that ends with
the process. So at any moment either both are there or neither is: a client that lost the answer, to a broken line
or to a server that died, sends the same request again and gets the first answer, or is the first. What that
transaction can't hold (bytes of an upload, a word to a worker) is harmless to repeat or found later.

Requests that mostly wait for foreign servers (``OUTSIDE``) are carried out before that transaction, which they would
hold open for as long: two that come at the same time are both carried out.

The key belongs to the API key that sent it, for 24 hours. Not kept, and undone: answers of 500 and above and 429.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from django.core.exceptions import RequestDataTooBig
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError

from config.auth import api_key
from config.errors import as_api_error, request_id, respond
from config.fingerprints import SCOPE_KEY, BodyDigest
from contract.errors import ApiError, Conflict, InvalidRequest
from credentials import answers
from credentials.answers import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http.response import HttpResponseBase

API = "/v1/"
KEY = re.compile(rf"[\x21-\x7e]{{1,{answers.MAX_KEY}}}")
REPLAYED = "idempotent-replayed"
JSON = "application/json"
OUTSIDE = ("/mcp_oauth_validate",)
NOT_KEPT = frozenset({401, 408, 429})  # say nothing about what the request would do


class _Undo(Exception):
    """Rolls back what the request did."""


class IdempotentPosts:
    """The middleware. It stands inside ``ApiAnswers``, around everything that might write."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        key = request.headers.get("idempotency-key")
        if key is None or request.method != "POST" or not request.path.startswith(API):
            return self.get_response(request)
        try:
            return self._once(request, key)
        except (ApiError, RequestDataTooBig, UnreadablePostError) as error:
            return respond(request, as_api_error(error))

    def _once(self, request: HttpRequest, key: str) -> HttpResponseBase:
        if not KEY.fullmatch(key):
            raise InvalidRequest(f"Idempotency-Key: must be 1 to {answers.MAX_KEY} visible ASCII characters")
        owner = api_key(request).api_key_id
        if owner is None:
            raise InvalidRequest("Idempotency-Key: is for API keys; workers' requests are safe to repeat without it")
        asked = fingerprint(request)
        if request.path.endswith(OUTSIDE):
            return self._once_outside(request, owner, key, asked)
        with transaction.atomic():
            if not answers.claim(owner, key):
                raise Conflict("Idempotency-Key: the first request with this key is still under way", retry=True)
            given = answers.find(owner, key)
            if given is not None:
                return _again(request, given, asked)
            response = self._carried_out(request)
            _keep(request, response, owner, key, asked)
        return response

    def _once_outside(self, request: HttpRequest, owner: str, key: str, asked: str) -> HttpResponseBase:
        given = answers.find(owner, key)
        if given is not None:
            return _again(request, given, asked)
        response = self.get_response(request)
        with transaction.atomic():
            _keep(request, response, owner, key, asked)
        return response

    def _carried_out(self, request: HttpRequest) -> HttpResponseBase:
        """The answer; a refusal leaves nothing behind."""
        try:
            with transaction.atomic():
                response = self.get_response(request)
                if response.status_code >= 400:
                    raise _Undo
        except _Undo:
            pass
        return response


def _keep(request: HttpRequest, response: HttpResponseBase, owner: str, key: str, asked: str) -> None:
    if _is_final(response):
        body = bytes(response.content) if isinstance(response, HttpResponse) else None
        answers.keep(owner, key, Answer(response.status_code, body, request_id(request), asked))


def fingerprint(request: HttpRequest) -> str:
    """What makes a request the same: its path, query and body."""
    digest: BodyDigest | None = getattr(request, "scope", {}).get(SCOPE_KEY)
    if digest is None:
        digest = BodyDigest(request.headers.get("content-type", ""))
        digest.feed(request.body)
    return hashlib.sha256(f"{request.get_full_path()}\n{digest.hexdigest()}".encode()).hexdigest()


def _again(request: HttpRequest, given: Answer, asked: str) -> HttpResponse:
    if given.fingerprint != asked:
        raise Conflict("Idempotency-Key: this key was used for another request; send a new key with a new request")
    if given.body is None:
        raise Conflict("Idempotency-Key: this request was carried out before; its answer was too large to be kept")
    request.request_id = given.request_id  # type: ignore[attr-defined]  # contract.http.Request has it
    headers: dict[str, Any] = {REPLAYED: "true"}
    if given.status == Conflict.status:
        headers["x-should-retry"] = "false"
    return HttpResponse(given.body, status=given.status, content_type=JSON, headers=headers)


def _is_final(response: HttpResponseBase) -> bool:
    if response.status_code >= 500 or response.status_code in NOT_KEPT:
        return False
    return response.status_code < 300 or response.get("content-type", "").startswith(JSON)
