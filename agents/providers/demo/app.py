"""The demo's WSGI app: POST /v1/messages (also as a stream), count_tokens, GET /v1/models."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic_core import from_json, to_json

from agents.providers.demo import message as wire
from agents.providers.demo.answer import FAULTS, Answer, FaultKind, says
from agents.providers.demo.hooks import HOOKS, Hooks, SocketHooks
from agents.providers.demo.memory import PrefixCache, Strikes
from agents.providers.demo.summaries import compacted
from agents.providers.demo.think import MODEL, is_demo, think
from agents.providers.demo.tokens import segments
from agents.providers.demo.turn import Turn, read_turn
from agents.providers.demo.validate import Refused, validate
from agents.providers.wire import in_words

MAX_BODY = 32 * 1024 * 1024
CONTEXT_WINDOW = 200_000
MAX_OUTPUT = 64_000

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}
_ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_FAIL = re.compile(r"(?P<status>[45]\d\d)(?:x(?P<times>\d{1,4}|all))?")

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


class Problem(Exception):
    """An error answer: status, message, the code in its details, extra headers."""

    def __init__(
        self, status: int, text: str, *, code: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.code = code
        self.headers = headers or {}


class DemoApp:
    """The app. Thread-safe; everything it keeps is in ``memory.py`` and bounded."""

    def __init__(self) -> None:
        self._strikes = Strikes()
        self._cache = PrefixCache()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request_id = f"req_{uuid.uuid4().hex[:24]}"
        try:
            return self._answer(environ, start_response, request_id)
        except Problem as problem:
            return _problem(problem, start_response, request_id)

    def _answer(self, environ: Environ, start_response: StartResponse, request_id: str) -> Iterable[bytes]:
        if not (environ.get("HTTP_X_API_KEY") or environ.get("HTTP_AUTHORIZATION")):
            raise Problem(401, "x-api-key header is required")
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].rstrip("/")
        match method, path:
            case "POST", "/v1/messages":
                return self._create(environ, start_response, request_id)
            case "POST", "/v1/messages/count_tokens":
                body = _validated(environ, counting=True)
                count = segments(body)[-1].tokens
                return _json(start_response, request_id, {"input_tokens": count})
            case "GET", "/v1/models":
                return _json(start_response, request_id, _model_page())
            case "GET", _ if path.startswith("/v1/models/"):
                return _json(start_response, request_id, _model(path.rpartition("/")[2]))
        raise Problem(404, f"Not found: {method} {path[:200]}")

    def _create(self, environ: Environ, start_response: StartResponse, request_id: str) -> Iterable[bytes]:
        body = _validated(environ, counting=False)
        if body.get("thread") is not None:
            # Taken and ignored, it would lose the conversation without a word.
            raise Problem(400, "thread: the demo holds no conversations", code="thread_unsupported_request")
        prompt = segments(body)
        body["messages"] = in_words(body["messages"])
        turn = read_turn(body["messages"])
        key = (body["model"], len(body["messages"]), turn.replies, turn.text)
        self._fail_if_asked(turn, key)
        summarises = bool(body.get("compaction"))
        answer = self._context_answer(turn, prompt[-1].tokens, summarises=summarises) or self._think(body, turn)
        fault = self._fault(turn, key)
        model = body["model"] if is_demo(body["model"]) else MODEL
        usage = self._cache.usage(prompt)
        whole = wire.message(answer, seed=prompt[-1].digest, model=model, usage=usage)
        hooks: Hooks = environ.get(HOOKS) or SocketHooks()
        if not body.get("stream"):
            return _single(start_response, request_id, whole, fault, hooks, answer.stall_seconds)
        headers = [("content-type", "text/event-stream; charset=utf-8"), ("request-id", request_id)]
        start_response("200 OK", [*headers, ("cache-control", "no-cache")])
        return _stream(answer, whole, fault, hooks)

    def _think(self, body: dict[str, Any], turn: Turn) -> Answer:
        if body.get("compaction"):
            return compacted(body["messages"])
        if "rubric" not in turn.options:
            return think(body, turn)
        graded = self._strikes.count(("rubric", turn.text))
        answer = think(body, turn, graded)
        if '"satisfied"' in str(answer.parts):
            self._strikes.forget(("rubric", turn.text))
        return answer

    def _fail_if_asked(self, turn: Turn, key: tuple[Any, ...]) -> None:
        found = _FAIL.fullmatch(turn.options.get("fail", ""))
        if found is None or not _is_its_turn(turn):
            return
        if self._strikes.strikes(("fail", *key), _times(found["times"])):
            status = int(found["status"])
            raise Problem(status, _failure_text(status), headers=_failure_headers(status, turn))

    def _context_answer(self, turn: Turn, tokens: int, *, summarises: bool) -> Answer | None:
        """Too long a prompt: when it is (``ctx=N``), or once for show (``ctx``, ``ctx=stop``).

        The summary that is asked for then neither strikes nor counts as the time that goes well.
        """
        value = turn.options.get("ctx")
        window = int(value) if value and value.isdecimal() else CONTEXT_WINDOW
        too_long = tokens > window
        if value is not None and not value.isdecimal() and not summarises and _is_its_turn(turn):
            # The count goes by the text alone: compaction changes all the rest.
            too_long = self._strikes.strikes(("ctx", turn.text), 1) or too_long
        if not too_long:
            return None
        if value == "stop":
            return says("The conversation fills the", "model_context_window_exceeded")
        raise Problem(400, f"prompt is too long: {tokens} tokens > {min(window, tokens - 1)} maximum")

    def _fault(self, turn: Turn, key: tuple[Any, ...]) -> FaultKind | None:
        for fault in FAULTS:
            value = turn.options.get(fault)
            if value is not None and _is_its_turn(turn):
                return fault if self._strikes.strikes((fault, *key), _times(value)) else None
        return None


def _stream(answer: Answer, whole: dict[str, Any], fault: FaultKind | None, hooks: Hooks) -> Iterator[bytes]:
    frames: Iterable[bytes] = wire.events(answer, whole)
    if fault is not None:
        frames = wire.broken(fault, list(frames))
    for frame in frames:
        if answer.pace and b'"text_delta"' in frame:
            hooks.pause(answer.pace)
        yield frame
    _break(fault, hooks, answer.stall_seconds)


def _single(
    start_response: StartResponse,
    request_id: str,
    whole: dict[str, Any],
    fault: FaultKind | None,
    hooks: Hooks,
    stall_seconds: float,
) -> Iterable[bytes]:
    if fault == "evterror":
        raise Problem(529, "Overloaded")
    text = to_json(whole)
    _start(start_response, 200, request_id, "application/json", {})
    if fault is None:
        return [text]
    return _cut_short(text, fault, hooks, stall_seconds)


def _cut_short(text: bytes, fault: FaultKind, hooks: Hooks, seconds: float) -> Iterator[bytes]:
    yield text[: len(text) // 2]
    _break(fault, hooks, seconds)


def _break(fault: FaultKind | None, hooks: Hooks, stall_seconds: float) -> None:
    if fault == "drop":
        hooks.drop()
    if fault == "stall":
        hooks.pause(stall_seconds)


def _validated(environ: Environ, *, counting: bool) -> dict[str, Any]:
    length = environ.get("CONTENT_LENGTH") or "0"
    size = int(length) if length.isdecimal() else 0
    if size > MAX_BODY:
        raise Problem(413, "Request exceeds the maximum size")
    return _checked(environ["wsgi.input"].read(size), counting=counting)


def _checked(raw: bytes, *, counting: bool) -> dict[str, Any]:
    try:
        return validate(from_json(raw), counting=counting)
    except Refused as refused:
        raise Problem(400, str(refused)) from refused
    except ValueError as error:
        raise Problem(400, "The request body is not valid JSON") from error


def _json(start_response: StartResponse, request_id: str, body: dict[str, Any]) -> list[bytes]:
    _start(start_response, 200, request_id, "application/json", {})
    return [to_json(body)]


def _problem(problem: Problem, start_response: StartResponse, request_id: str) -> list[bytes]:
    kind = _ERROR_TYPES.get(problem.status)
    if kind is None:
        kind = "api_error" if problem.status >= 500 else "invalid_request_error"
    _start(start_response, problem.status, request_id, "application/json", problem.headers)
    error: dict[str, Any] = {"type": kind, "message": problem.text}
    if problem.code is not None:
        error["details"] = {"error_code": problem.code}
    return [to_json({"type": "error", "error": error, "request_id": request_id})]


def _start(start_response: StartResponse, status: int, request_id: str, kind: str, extra: dict[str, str]) -> None:
    headers = [("content-type", kind), ("request-id", request_id)]
    start_response(f"{status} {_REASONS.get(status, 'Error')}", [*headers, *extra.items()])


def _is_its_turn(turn: Turn) -> bool:
    at = turn.options.get("at", "")
    return not at.isdecimal() or int(at) == turn.replies + 1


def _times(value: str | None) -> int | None:
    if value == "all":
        return None
    return int(value) if value and value.isdecimal() else 1


def _failure_text(status: int) -> str:
    return {
        401: "invalid x-api-key",
        402: "The account is out of credits",
        404: "model: no-such-model",
        429: "This request would exceed the rate limit",
        529: "Overloaded",
    }.get(status, f"Failed with {status} because a directive asks for it")


def _failure_headers(status: int, turn: Turn) -> dict[str, str]:
    after = turn.options.get("after", "1" if status == 429 else "")
    return {"retry-after": after} if re.fullmatch(r"\d{1,9}(\.\d{1,3})?", after) else {}


def _model(model_id: str) -> dict[str, Any]:
    if not is_demo(model_id):
        raise Problem(404, f"model: {model_id[:100]}")
    return {
        "type": "model",
        "id": MODEL,
        "display_name": "Demo (rule-driven, no AI)",
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": CONTEXT_WINDOW,
        "max_tokens": MAX_OUTPUT,
    }


def _model_page() -> dict[str, Any]:
    return {"data": [_model(MODEL)], "has_more": False, "first_id": MODEL, "last_id": MODEL}
