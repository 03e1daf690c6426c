"""What telemetry hides, and which names API calls get in traces."""

from __future__ import annotations

import pytest

from config import telemetry
from config.readers import SettingError
from contract import tracing


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("curl -H 'Authorization: Bearer abcdefgh12345'", "curl -H 'Authorization: [hidden]'"),
        ("key sk-hf-abcdefghijkl and no more", "key [hidden] and no more"),
        ('{"password": "open sesame"}', '{"[hidden] sesame"}'),
        ("order 4711 is late", "order [hidden] is late"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_secrets_and_what_the_operator_names_are_hidden(said: str, left: str) -> None:
    tracing.configure(content=True, patterns=[r"\b47\d\d\b"])
    try:
        assert tracing.redact(said) == left
        assert len(tracing.redact("a" * 100_000)) == tracing.MAX_CONTENT
    finally:
        tracing.configure(content=False)


def test_a_rule_that_is_no_regular_expression_is_refused() -> None:
    assert telemetry.patterns("a+\n\n b ") == ("a+", "b")
    with pytest.raises(SettingError, match="TELEMETRY_REDACT"):
        telemetry.patterns("(")


def test_operations_are_known_by_the_names_of_the_sdk() -> None:
    names = telemetry._operations()
    assert names["POST", "v1/sessions/<session_id>/events"] == "sessions.events.send"
    assert names["GET", "v1/sessions/<session_id>/events/stream"] == "sessions.events.stream"
    assert names["GET", "v1/environments/<environment_id>/work/poll"] == "environments.work.poll"


def test_without_a_collector_a_span_is_nothing() -> None:
    with tracing.span("quiet") as current:
        assert not current.is_recording()
    assert tracing.carrier() is None
