"""Traces out to a collector that the test starts: a session of several agents is one tree, without its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.collector import Collector, attributes
from tests.live import Installation, wait_for
from tests.sdk.talk import client_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60.0
TOKEN = "a-token-of-the-test"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def installation(collector: Collector) -> Iterator[Installation]:
    telemetry = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_EXPORTER_OTLP_HEADERS": "x-team=ops"}
    with Installation.started(METRICS_TOKEN=TOKEN, **telemetry) as running:
        yield running


def turn(client: Any, agent: str, environment: str, text: str) -> str:
    session: str = client.beta.sessions.create(agent=agent, environment_id=environment).id
    message = {"type": "user.message", "content": [{"type": "text", "text": text}]}
    client.beta.sessions.events.send(session, events=[message])
    wait_for(lambda: rested(client, session), PATIENCE, "the session did not come to rest")
    return session


def rested(client: Any, session: str) -> bool:
    last = [event for event in client.beta.sessions.events.list(session) if event.type == "session.status_idle"]
    return bool(last) and last[-1].stop_reason.type == "end_turn"


def of_session(collector: Collector, session: str, name: str) -> list[Any]:
    return [span for span in collector.named(name) if attributes(span).get("anthropic.session.id") == session]


def test_a_session_of_several_agents_is_one_tree_without_its_words(
    collector: Collector, installation: Installation
) -> None:
    client = client_of(installation)
    environment = client.beta.environments.create(name="traced").id
    toolset: Any = {"type": "agent_toolset_20260401"}
    member = client.beta.agents.create(name="alpha", model="demo", tools=[toolset]).id
    team: Any = {"type": "coordinator", "agents": [{"type": "agent", "id": member}]}
    lead = client.beta.agents.create(name="lead", model="demo", multiagent=team).id
    session = turn(client, lead, environment, "Ask alpha to run `echo xylophone`.")
    wait_for(lambda: len(of_session(collector, session, "invoke_agent lead")) >= 2, PATIENCE, "spans are missing")
    wait_for(lambda: of_session(collector, session, "anthropic.sessions.events.send"), PATIENCE, "the root is missing")
    (root,) = of_session(collector, session, "anthropic.sessions.events.send")
    tree = collector.tree(root)
    names = [span.name for span in tree]
    assert {"invoke_agent lead", "invoke_agent alpha", "chat demo", "anthropic.tool_use bash", "sandbox.call"} <= set(
        names
    )
    turns = [
        *of_session(collector, session, "invoke_agent lead"),
        *of_session(collector, session, "invoke_agent alpha"),
    ]
    assert {span.span_id for span in turns} <= {span.span_id for span in tree}
    assert {span.trace_id for span in tree} == {root.trace_id}
    call = next(span for span in tree if span.name == "anthropic.tool_use bash")
    assert attributes(call)["gen_ai.tool.name"] == "bash"
    assert not any("xylophone" in str(span) for span in collector.spans)
    assert collector.headers[0].get("x-team") == "ops"


def test_a_callers_own_trace_is_gone_on_with(collector: Collector, installation: Installation) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"authorization": f"Bearer {installation.api_key}", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    httpx2.get(f"{installation.url}/v1/agents", headers=headers).raise_for_status()

    def ours() -> list[Any]:
        return [span for span in collector.named("anthropic.agents.list") if span.trace_id.hex() == trace]

    wait_for(ours, PATIENCE, "no span below the caller's")
    assert ours()[0].parent_span_id.hex() == "b7ad6b7169203331"


def test_a_collector_that_is_away_costs_nothing_and_is_told_of_once(
    collector: Collector, installation: Installation
) -> None:
    client = client_of(installation)
    collector.away = True
    environment = client.beta.environments.create(name="untraced").id
    agent = client.beta.agents.create(name="alone", model="demo").id
    turn(client, agent, environment, "hello")
    told = "The telemetry collector takes nothing"
    wait_for(lambda: told in installation.log("web"), PATIENCE, "the log doesn't tell of it")
    collector.away = False
    turn(client, agent, environment, "hello")
    wait_for(lambda: "is back" in installation.log("web"), PATIENCE, "the log doesn't tell that it is back")
    assert installation.log("web").count(told) == 1


def test_metrics_are_for_whoever_has_the_token(installation: Installation) -> None:
    url = f"{installation.url}/metrics"
    assert httpx2.get(url).status_code == 401
    shown = httpx2.get(url, headers={"authorization": f"Bearer {TOKEN}"}).text
    assert 'holdfast_sessions{status="idle"}' in shown
    assert "holdfast_workers 1.0" in shown
    assert 'holdfast_part_up{part="sweeper"} 1.0' in shown
