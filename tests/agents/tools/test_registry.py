from __future__ import annotations

from typing import Any

import pytest

from agents.tools import registry
from agents.tools.base import validate_input


def test_search_is_offered_once_there_is_an_engine_and_says_why_not_before(settings: Any) -> None:
    assert registry.offered() == ("bash", "read", "write", "edit", "glob", "grep", "web_fetch")
    assert set(registry.offered()) == {*registry.SANDBOX_TOOLS, "web_fetch"}
    assert "SEARXNG_URL" in (registry.check_input("web_search", {"query": "x"}) or "")
    settings.HOLDFAST_SEARXNG_URL = "http://127.0.0.1:1"
    assert "web_search" in registry.offered()
    assert registry.check_input("web_search", {"query": "x"}) is None


@pytest.mark.parametrize("name", registry.offered())
def test_every_field_of_the_sdks_type_is_described(name: str) -> None:
    params = registry.TOOLSET[name].params()
    assert set(params) == {"name", "description", "input_schema"}
    schema = params["input_schema"]
    assert registry.TOOLSET[name].schema or set(schema["properties"]) == set(registry.TOOLSET[name].fields)
    assert all(field["description"] for field in schema["properties"].values())


def test_schemas_follow_the_sdks_types() -> None:
    read = registry.TOOLSET["read"].input_schema
    assert read["required"] == ["file_path"]
    assert read["properties"]["view_range"]["items"] == {"type": "integer"}
    assert registry.TOOLSET["bash"].input_schema["required"] == []


@pytest.mark.parametrize(
    ("name", "given", "fault"),
    [
        ("bash", {"command": "true"}, None),
        ("bash", {"command": None, "restart": True}, None),
        ("bash", {"command": 3}, "bash: command must be a string."),
        ("bash", {"timeout_ms": True}, "bash: timeout_ms must be a whole number."),
        ("bash", {"cmd": "x"}, "bash: cmd is not a field of this tool; there are: command, restart, timeout_ms."),
        ("read", {}, "read: file_path is required."),
        ("read", {"file_path": None}, "read: file_path must be a string."),
        ("read", {"file_path": "a", "view_range": [1, "b"]}, "read: view_range.1 must be a whole number."),
        ("nothing", {}, "There is no tool named nothing."),
    ],
)
def test_bad_input_is_told_in_one_sentence(name: str, given: dict[str, Any], fault: str | None) -> None:
    assert registry.check_input(name, given) == fault


NESTED = {
    "type": "object",
    "properties": {
        "unit": {"enum": ["C", "F"]},
        "place": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
        "days": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "number"}},
        "note": {"type": ["string", "null"]},
    },
}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"unit": "C", "place": {"city": "Bern"}, "days": [1, 2.5], "note": None, "more": 1}, None),
        ({"unit": "K"}, "unit must be one of 'C', 'F'."),
        ({"place": {}}, "place.city is required."),
        ({"place": {"city": 1}}, "place.city must be a string."),
        ({"days": []}, "days must have at least 1 items."),
        ({"days": [1, 2, 3]}, "days must have at most 2 items."),
        ({"days": "x"}, "days must be a list."),
        ({"note": 1}, "note must be a string or null."),
        ([], "input must be an object."),
    ],
)
def test_a_custom_tools_schema_is_checked_as_far_as_we_know_it(given: Any, fault: str | None) -> None:
    assert validate_input(NESTED, given) == fault
