"""The opening of an MCP connection over streamable HTTP, to find out whether a server takes a token."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from credentials.dialling import EVENT_STREAM, Line, Reply, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contract.secret import Secret

SECONDS = 15.0
PROTOCOL = "2025-06-18"
OPENING = {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": {"name": "holdfast", "version": "1"}}
BLANK_LINE = re.compile(r"\r\n\r\n|\n\n|\r\r")


@dataclass(frozen=True, slots=True)
class Failure:
    """The step that failed, and the server's answer if it gave one."""

    method: str
    reply: Reply | None


def shake(url: str, token: Secret) -> Failure | None:
    """None if the server at ``url`` answers ``initialize`` and lists its tools. Raises ``AddressRefused``."""
    with Line(SECONDS) as line:
        return _Visit(line, url, token).run()


class _Visit:
    def __init__(self, line: Line, url: str, token: Secret) -> None:
        self._line, self._url = line, url
        self._headers = {
            "authorization": f"Bearer {token.reveal()}",
            "accept": f"application/json, {EVENT_STREAM}",
            "content-type": "application/json",
        }
        self._step = ""
        self._id = 0

    def run(self) -> Failure | None:
        try:
            return self._steps()
        except Unreachable:
            return Failure(self._step, None)

    def _steps(self) -> Failure | None:
        reply, result = self._ask("initialize", OPENING)
        if result is None:
            return Failure(self._step, reply)
        self._headers["mcp-protocol-version"] = str(result.get("protocolVersion", PROTOCOL))
        if session := reply.headers.get("mcp-session-id"):
            self._headers["mcp-session-id"] = session
        try:
            return self._inside(result)
        finally:
            if session:
                with suppress(Unreachable):
                    self._line.send("DELETE", self._url, self._headers)

    def _inside(self, opened: Mapping[str, Any]) -> Failure | None:
        reply = self._send("notifications/initialized")
        if not 200 <= reply.status < 300:
            return Failure(self._step, reply)
        capabilities = opened.get("capabilities")
        if not isinstance(capabilities, dict) or "tools" not in capabilities:
            return None
        reply, result = self._ask("tools/list", {})
        # A list that is longer than what we read was still given to this token.
        return None if result is not None or (reply.status == 200 and reply.cut) else Failure(self._step, reply)

    def _ask(self, method: str, params: Mapping[str, Any]) -> tuple[Reply, dict[str, Any] | None]:
        """The answer, and its JSON-RPC result if it has one."""
        self._id += 1
        reply = self._send(method, id=self._id, params=params)
        found = message(reply.body, self._id) if reply.status == 200 else None
        result = found.get("result") if found else None
        return reply, result if isinstance(result, dict) else None

    def _send(self, method: str, **fields: Any) -> Reply:
        self._step = method
        body = json.dumps({"jsonrpc": "2.0", "method": method, **fields}).encode()
        number = fields.get("id")

        def enough(content: bytes) -> bool:
            return number is not None and message(content, number) is not None

        return self._line.send("POST", self._url, self._headers, body, enough=enough)


def message(body: bytes, number: int) -> dict[str, Any] | None:
    """The JSON-RPC answer to request ``number``, from a JSON body or from server-sent events."""
    text = body.decode(errors="replace")
    for candidate in (text, *_data(text)):
        try:
            found = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and found.get("id") == number:
            return found
    return None


def _data(text: str) -> list[str]:
    """The data of every whole event."""
    return [
        "\n".join(line.removeprefix("data:").strip() for line in event.splitlines() if line.startswith("data:"))
        for event in BLANK_LINE.split(text)[:-1]
    ]
