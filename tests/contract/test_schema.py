"""The SDK's types as strict schemas: what they take, what they refuse, and how the refusal reads."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from contract.schema import Answer, Params, parse, request_model, sdk_type
from contract.sentences import sentence

AGENT = "agent_create_params.AgentCreateParams"
SESSION = "session_create_params.SessionCreateParams"
EVENTS = "sessions.event_send_params.EventSendParams"
ALL = [
    AGENT,
    SESSION,
    EVENTS,
    "agent_update_params.AgentUpdateParams",
    "session_update_params.SessionUpdateParams",
    "environment_create_params.EnvironmentCreateParams",
    "environment_update_params.EnvironmentUpdateParams",
    "sessions.resource_add_params.ResourceAddParams",
]
BASE = {"name": "n", "model": "m"}


def complaint(path: str, value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        parse(path, value)
    return sentence([dict(error) for error in caught.value.errors()])


@pytest.mark.parametrize("path", ALL)
def test_every_request_type_converts_and_knows_no_header_keys(path: str) -> None:
    fields = request_model(path).model_fields
    assert fields
    assert not {"betas", "workspace_id"} & fields.keys()
    assert request_model(path) is request_model(path)


@pytest.mark.parametrize(
    "body",
    [
        BASE,
        {**BASE, "model": {"id": "any-model-at-all", "effort": {"type": "low"}}},
        {**BASE, "model": {"id": "m", "effort": "max", "speed": None}},
        {**BASE, "description": None, "metadata": {}},
        {
            **BASE,
            "tools": [
                {"type": "custom", "name": "t", "description": "d", "input_schema": {"type": "object", "$defs": {}}}
            ],
        },
    ],
)
def test_a_right_body_comes_back_as_it_was_sent(body: dict[str, Any]) -> None:
    assert parse(AGENT, body) == body


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        (AGENT, {**BASE, "betas": ["x"]}, "betas: Extra inputs are not permitted"),
        (AGENT, {"model": "m"}, "name: Field required"),
        (AGENT, {**BASE, "name": 5}, "name: must be a string"),
        (AGENT, {**BASE, "name": None}, "name: must be a string"),
        (AGENT, {**BASE, "model": ["m"]}, "model: must be a string"),
        (AGENT, {**BASE, "model": {"id": "m", "speed": "warp"}}, "model.speed: must be one of: "),
        (AGENT, {**BASE, "tools": "bash"}, "tools: must be an array"),
        (
            AGENT,
            {**BASE, "tools": [{"type": "nope"}]},
            "tools.0: must be an object whose `type` is one of: agent_toolset_20260401, mcp_toolset, custom",
        ),
        (AGENT, {**BASE, "tools": [{}]}, "tools.0: must be an object whose `type` is one of"),
        (
            AGENT,
            {**BASE, "tools": [{"type": "agent_toolset_20260401", "configs": [{"name": "bash", "type": "read"}]}]},
            "tools.0.configs.0.type: must be one of: bash",
        ),
        (SESSION, {"agent": 1, "environment_id": "e"}, "agent: must be a string"),
        (SESSION, {"agent": "a", "environment_id": "e", "vault_ids": "v"}, "vault_ids: must be an array"),
        (
            SESSION,
            {"agent": {"type": "agent", "id": "a", "version": "1"}, "environment_id": "e"},
            "agent.version: must be an integer",
        ),
        (
            SESSION,
            {"agent": {"type": "agent", "id": "a", "version": True}, "environment_id": "e"},
            "agent.version: must be an integer",
        ),
        (
            EVENTS,
            {"events": [{"type": "user.message", "content": [{"type": "text", "text": 1}]}]},
            "events.0.content.0.text: must be a string",
        ),
        (EVENTS, {"events": [7]}, "events.0: must be an object whose `type` is one of: user.message"),
        (EVENTS, {"events": {}}, "events: must be an array"),
        (EVENTS, [], "must be an object"),
    ],
)
def test_a_wrong_body_is_refused_in_one_sentence(path: str, body: Any, said: str) -> None:
    assert complaint(path, body).startswith(said)


def test_one_wrong_event_gives_one_complaint() -> None:
    with pytest.raises(ValidationError) as caught:
        parse(EVENTS, {"events": [{"type": "user.mesage"}]})
    assert len(caught.value.errors()) == 1


def test_a_long_list_of_mistakes_is_cut_short() -> None:
    assert complaint(AGENT, {**BASE, "a": 1, "b": 1, "c": 1, "d": 1}).endswith("; and 1 more")


def test_a_body_may_be_prepared_before_it_is_checked() -> None:
    marker = Params(AGENT, prepare=lambda body: {**body, "model": "default"})
    assert marker.check({"name": "n"}) == {"name": "n", "model": "default"}


def test_answers_describe_themselves_with_the_sdks_model() -> None:
    from typing import Annotated

    path = "beta_deleted_file.BetaDeletedFile"
    one = TypeAdapter(Annotated[dict[str, Any], Answer(path)])
    assert one.validate_python({"anything": 1}) == {"anything": 1}
    assert set(one.json_schema()["properties"]) == set(sdk_type(path).model_fields)
    page = TypeAdapter(Annotated[dict[str, Any], Answer(path, page=True)]).json_schema()
    assert page["required"] == ["data", "next_page"]
