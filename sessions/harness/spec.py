"""What a turn needs to know of its session besides the log: agent, tools, provider; and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings

from agents import policies
from agents.additions import additions, fallbacks
from agents.mcp.tools import toolsets
from agents.policies import Grant
from agents.providers import registry as providers
from agents.tools import registry as tools
from contract.schema import OURS
from credentials.connections import connection_for
from sessions import prepared, resources
from sessions.bounds import caps_of, own_caps
from sessions.harness import notes
from sessions.harness.hands import checkouts, skills
from sessions.harness.hands.network import borrower
from sessions.harness.limits import Limits
from sessions.harness.prompt import system_prompt
from sessions.ledgers import parsed
from sessions.log import UnknownThread
from sessions.models import Session, Thread
from sessions.repositories import skills_note
from sessions.teams import MEMBER_NOTE, RUN_NOTE, Team, lead_note, team_of, tools_of

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from agents.policies import Rulebook
    from agents.providers.base import Provider
    from credentials.lending import Borrower

# What tells the limits of a turn: asked for every few seconds of every turn, so no whole rows.
BOUNDED = """
SELECT t.agent, t.parent_id, s.agent_id, s.workspace_id, s.limits, v.spec #> %s::text[], w.limits
FROM agent_sessions_thread t JOIN agent_sessions_session s ON s.id = t.session_id
JOIN agents_agent a ON a.id = s.agent_id JOIN agents_workspace w ON w.id = a.workspace_id
LEFT JOIN agents_agentversion v ON v.agent_id = a.id
WHERE t.id = %s AND s.id = %s ORDER BY v.version DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class TurnSpec:
    """Read once per lease; a session's tools change only while it is idle (spec core 8.6)."""

    session_id: str
    thread_id: str
    workspace_id: str
    agent_name: str
    model: Mapping[str, Any]
    system: str | None
    grants: Mapping[str, Grant]
    rules: Rulebook
    tool_params: list[dict[str, Any]]
    provider: Provider
    team: Team
    leads: bool  # it is the session's primary thread
    workflow: bool  # it is of a workflow run
    shared: bool  # other threads work in this session, or may
    fallbacks: tuple[str, ...]
    borrower: Borrower
    mcp_servers: Mapping[str, str]  # URLs by name
    toolsets: Mapping[str, Mapping[str, Any]]  # resolved mcp_toolset entries by their server's name
    repositories_pending: bool  # some are not in the sandbox yet
    outside: frozenset[str] = frozenset()  # tools that an outside worker carries out

    @property
    def effort(self) -> str | None:
        effort = self.model.get("effort")
        return effort["type"] if effort else None


def load(session: Session, thread: Thread) -> TurnSpec:
    """Put together what the next turns of ``thread`` run with."""
    agent = thread.agent
    team = team_of(session.agent_snapshot)
    leads = thread.parent_id is None
    grants = policies.grants(agent["tools"], tools.offered())
    if additions(agent).get("read_log"):
        grants[tools.READ_LOG] = Grant(tools.READ_LOG, "always_allow")
    sandboxed = any(name in tools.SANDBOX_TOOLS for name in grants)
    outside = session.environment.config["type"] == "self_hosted"
    here = sandboxed and not outside
    kinds = resources.kinds(session.id) if sandboxed else frozenset()
    teaming = tools_of(team, leads=leads) if not thread.workflow_run_id else []
    grants |= {tool.name: Grant(tool.name, None, team=tool) for tool in teaming}
    return TurnSpec(
        session_id=session.id,
        thread_id=thread.id,
        workspace_id=session.workspace_id,
        agent_name=thread.agent_name,
        model=agent["model"],
        system=system_prompt(agent["system"], sandboxed=here, notes=_notes(session, thread, team, grants, kinds)),
        grants=grants,
        rules=policies.rulebook(agent),
        tool_params=[_params(grant) for grant in grants.values()],
        provider=provider(agent["model"]["id"], session.workspace_id),
        team=team,
        leads=leads,
        workflow=bool(thread.workflow_run_id),
        shared=not leads or session.agent_snapshot.get("multiagent") is not None,
        fallbacks=fallbacks(agent),
        borrower=borrower(session),
        mcp_servers={server["name"]: server["url"] for server in agent["mcp_servers"]},
        toolsets=toolsets(agent["tools"]),
        outside=frozenset(tools.SANDBOX_TOOLS) if outside else frozenset(),
        repositories_pending=here and resources.REPOSITORY in kinds and checkouts.pending(session.id),
    )


def _notes(
    session: Session, thread: Thread, team: Team, grants: Mapping[str, Grant], kinds: Container[str]
) -> list[str | None]:
    """What is in the sandbox for this agent: memory stores, which its session shares, and skills; and its team.

    Skills are read with the tool ``read``; without it they are not told of.
    """
    teaming = lead_note(team) if thread.parent_id is None else RUN_NOTE if thread.workflow_run_id else MEMBER_NOTE
    if not tools.SANDBOX_TOOLS & grants.keys():
        return [teaming]
    found: list[str | None] = []
    if resources.MEMORY_STORE in kinds:
        stores = session.resources.filter(kind=resources.MEMORY_STORE).order_by("created_at", "id")
        found.append(notes.memory_note([(store.mount_path, store.details) for store in stores]))
    if "read" in grants:
        own = [skill["version"] for skill in thread.agent["skills"]]
        shown = skills.mounted(session.agent_snapshot) if own else {}
        found.append(notes.skills_note([shown[version] for version in own if version in shown]))
        found.append(skills_note(checkouts.skills(session.id) if resources.REPOSITORY in kinds else []))
    return [*found, teaming]


def provider(model_id: str, workspace_id: str) -> Provider:
    """Where a model runs for a workspace."""
    return providers.provider_for(model_id, **connection_for(workspace_id).arguments())


def media(model_id: str, workspace_id: str) -> frozenset[str]:
    """What a model takes besides text. Asks its server, which remembers for a while."""
    unsaid = frozenset(settings.HOLDFAST_MODEL_MEDIA)
    return providers.media_of(model_id, unsaid=unsaid, **connection_for(workspace_id).arguments())


def limits(session_id: str, thread_id: str) -> Limits:
    """What bounds the turns of a thread, as it is now. Raises ``sessions.log.UnknownThread``."""
    with prepared.cursor() as cursor:
        cursor.execute(BOUNDED, [[OURS, "limits"], thread_id, session_id])
        row = cursor.fetchone()
    if row is None:
        raise UnknownThread(thread_id)
    thread = Thread(id=thread_id, session_id=session_id, agent=parsed(row[0]), parent_id=row[1])
    session = Session(id=session_id, agent_id=row[2], workspace_id=row[3], limits=parsed(row[4]))
    return Limits(
        caps=caps_of(session, (parsed(row[5]) or {}, parsed(row[6]) or {})),
        own=own_caps(session, thread),
        retry_base=settings.HOLDFAST_RETRY_BASE_SECONDS,
        retry_ceiling=settings.HOLDFAST_RETRY_CEILING_SECONDS,
        clear_at=settings.HOLDFAST_COMPACT_AT_TOKENS * 5 // 8,
        compact_at=settings.HOLDFAST_COMPACT_AT_TOKENS,
        fallbacks=fallbacks(thread.agent),
    )


def _params(grant: Grant) -> dict[str, Any]:
    if grant.team is not None:
        return grant.team.params()
    if grant.custom is not None:
        return {key: grant.custom[key] for key in ("name", "description", "input_schema")}
    tool = tools.find(grant.name)
    assert tool is not None, grant.name
    return tool.params()
