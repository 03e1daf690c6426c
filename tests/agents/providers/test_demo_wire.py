"""The demo's wire against the official SDK with strict response validation on, and in its raw bytes."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from agents.providers.demo.app import DemoApp
from agents.providers.demo.provider import ADDRESS, in_process_client
from tests.agents.providers.talk import BASH, WRITE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.providers.demo.server import DemoServer

ASK: dict[str, Any] = {"model": "demo", "max_tokens": 1_000}


def says(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def create(client: anthropic.Anthropic, **options: Any) -> Any:
    """``messages.create`` with options the SDK's own types would refuse."""
    method: Any = client.beta.messages.create
    return method(**options)


@pytest.fixture(params=["in process", "over a socket"])
def strict(request: pytest.FixtureRequest) -> Iterator[anthropic.Anthropic]:
    """The SDK, strict about every response."""
    options: dict[str, Any] = {"base_url": ADDRESS, "http_client": None}
    if request.param == "in process":
        options["http_client"] = in_process_client(DemoApp(), 30.0)
    else:
        options["base_url"] = request.getfixturevalue("server").url
    with anthropic.Anthropic(api_key="any", max_retries=2, _strict_response_validation=True, **options) as client:
        yield client


@pytest.mark.parametrize("text", ["hello", "[[demo: think steps=1]]", "[[demo: parallel]]", "[[demo: refusal]]"])
def test_a_message_and_its_stream_agree_and_pass_strict_validation(strict: anthropic.Anthropic, text: str) -> None:
    whole = create(strict, messages=says(text), tools=[BASH], **ASK)
    stream: Any = strict.beta.messages.stream
    with stream(messages=says(text), tools=[BASH], **ASK) as events:
        streamed = events.get_final_message()
    assert [_sent(block) for block in streamed.content] == [_sent(block) for block in whole.content]
    assert (streamed.stop_reason, streamed.stop_details) == (whole.stop_reason, whole.stop_details)
    assert streamed.usage.output_tokens == whole.usage.output_tokens > 0
    assert streamed.usage.input_tokens == whole.usage.input_tokens > 0


@pytest.mark.parametrize("text", ["hello", "[[demo: think steps=1]]", "[[demo: max_tokens]]", "[[demo: pause_turn]]"])
def test_every_raw_event_passes_strict_validation(strict: anthropic.Anthropic, text: str) -> None:
    events = list(create(strict, stream=True, messages=says(text), tools=[BASH], **ASK))
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop")


def test_the_plain_messages_resource_works_too(strict: anthropic.Anthropic) -> None:
    method: Any = strict.messages.create
    reply = method(messages=says("say `hi`"), **ASK)
    assert reply.content[0].text == "hi"


def test_the_sdks_own_tool_loop_runs_against_it(strict: anthropic.Anthropic) -> None:
    @anthropic.beta_tool
    def write(file_path: str, content: str) -> str:
        """Write a file.

        Args:
            file_path: where
            content: what
        """
        written[file_path] = content
        return f"wrote {file_path}"

    written: dict[str, str] = {}
    run: Any = strict.beta.messages.tool_runner
    runner = run(
        thread=False,
        model="demo",
        max_tokens=1_000,
        tools=[write],
        messages=says("write a.txt with `one` and write b.txt with `two`"),
    )
    final = runner.until_done()
    assert written == {"a.txt": "one", "b.txt": "two"}
    assert "2 steps, all done" in str(final.content)


def test_a_conversation_held_by_the_server_is_refused_and_not_lost(strict: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        create(strict, messages=says("hi"), thread={"type": "create"}, **ASK)
    assert caught.value.error_code == "thread_unsupported_request"


def test_tokens_are_counted_before_and_agree_with_the_usage(strict: anthropic.Anthropic) -> None:
    count: Any = strict.beta.messages.count_tokens
    counted = count(model="demo", messages=says("hello"), tools=[BASH, WRITE])
    reply = create(strict, messages=says("hello"), tools=[BASH, WRITE], **ASK)
    assert counted.input_tokens == reply.usage.input_tokens


def test_cache_marks_of_both_lifetimes_show_in_the_usage(strict: anthropic.Anthropic) -> None:
    system = [{"type": "text", "text": "x" * 400, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    options = {**ASK, "system": system, "cache_control": {"type": "ephemeral"}}
    first = create(strict, messages=says("a" * 40), **options)
    second = create(strict, messages=says("b" * 40), **options)
    split = first.usage.cache_creation
    assert split.ephemeral_1h_input_tokens >= 100
    assert split.ephemeral_5m_input_tokens > 0
    assert first.usage.cache_creation_input_tokens == split.ephemeral_1h_input_tokens + split.ephemeral_5m_input_tokens
    assert second.usage.cache_read_input_tokens == split.ephemeral_1h_input_tokens


def test_the_models_are_listed_and_retrieved(strict: anthropic.Anthropic) -> None:
    (model,) = strict.beta.models.list().data
    assert (model.id, model.lifecycle) == ("demo", "active")
    assert strict.beta.models.retrieve("demo") == model
    with pytest.raises(anthropic.NotFoundError):
        strict.beta.models.retrieve("claude-opus-5-5")


def test_errors_have_the_envelope_and_the_request_id(strict: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        create(strict, messages=says("x"), extra_body={"temperature": 1}, **ASK)
    error: Any = caught.value
    assert (error.type, error.api_message) == ("invalid_request_error", "temperature: Extra inputs are not permitted")
    assert error.request_id
    assert error.request_id == error.body["request_id"]


def test_the_sdk_retries_what_fails_before_the_stream(strict: anthropic.Anthropic) -> None:
    text = "[[demo: fail=529x2 after=0.01]] say `at last`"
    reply = create(strict, messages=says(text), **ASK)
    assert reply.content[0].text == "at last"


def test_an_answer_that_is_not_streamed_breaks_too(strict: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.OverloadedError):
        create(strict.with_options(max_retries=0), messages=says("[[demo: evterror]]"), **ASK)
    for fault in ("silent", "corrupt", "drop"):
        text = f"[[demo: {fault}]] say `x`"
        with pytest.raises(Exception, match=r"."):
            create(strict.with_options(max_retries=0), messages=says(text), **ASK)
        assert create(strict, messages=says(text), **ASK).content[0].text == "x"


def _sent(block: Any) -> Any:
    return block.model_dump(exclude_none=True)


def post(server: DemoServer, path: str, body: bytes, **headers: str) -> tuple[int, dict[str, Any] | str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
    try:
        connection.request("POST", path, body, {"x-api-key": "any", **headers})
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if "json" in answer.headers["content-type"] else text
    finally:
        connection.close()


def test_a_stream_names_its_events_and_starts_blocks_empty(server: DemoServer) -> None:
    body = {**ASK, "stream": True, "messages": says("[[demo: think steps=1]]"), "tools": [BASH]}
    status, text = post(server, "/v1/messages", json.dumps(body).encode())
    assert status == 200
    assert isinstance(text, str)
    records = [record.split("\n") for record in text.strip().split("\n\n")]
    events = [json.loads(data.removeprefix("data: ")) for _, data in records]
    assert [name.removeprefix("event: ") for name, _ in records] == [event["type"] for event in events]
    starts = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    assert starts[0] == {"type": "thinking", "thinking": "", "signature": ""}
    assert starts[2] == {"type": "text", "text": ""}
    assert starts[3]["input"] == {}


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("/v1/messages", b"{", 400, "invalid_request_error"),
        ("/v1/messages", b"[]", 400, "invalid_request_error"),
        ("/v1/messages", b"", 400, "invalid_request_error"),
        ("/v1/nowhere", b"{}", 404, "not_found_error"),
    ],
)
def test_bad_requests_get_an_envelope(server: DemoServer, path: str, body: bytes, status: int, kind: str) -> None:
    answered, error = post(server, path, body)
    assert answered == status
    assert isinstance(error, dict)
    assert error["error"]["type"] == kind
    assert error["request_id"].startswith("req_")


def test_no_key_is_401_and_too_large_a_body_is_413_before_it_is_read(server: DemoServer) -> None:
    status, error = post(server, "/v1/messages", b"{}", **{"x-api-key": ""})
    assert (status, isinstance(error, dict) and error["error"]["type"]) == (401, "authentication_error")
    status, error = post(server, "/v1/messages", b"", **{"content-length": str(33 * 1024 * 1024)})
    assert (status, isinstance(error, dict) and error["error"]["type"]) == (413, "request_too_large")


def test_it_can_be_started_as_a_program() -> None:
    command = [sys.executable, "-m", "agents.providers.demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            with anthropic.Anthropic(base_url=address, api_key="any") as client:
                reply = create(client, messages=says("say `here`"), **ASK)
            assert reply.content[0].text == "here"
        finally:
            process.terminate()
