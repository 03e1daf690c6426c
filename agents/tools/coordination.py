"""The tools by which the agents of one session work together (spec advanced 7.4).

Their names begin with the reserved prefix ``ant__``; their calls are on the log as ``ops.team_use``, which clients
don't see. Carried out by ``sessions.threads`` as changes of the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.tools.base import validate_input

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "ant__"

_AGENT = (
    "Whom: an agent's name, or a thread id (sthr_…) where several threads have the same name. "
    "The agent that leads the session is called coordinator."
)


@dataclass(frozen=True, slots=True)
class TeamTool:
    """A coordination tool, as a Messages API request names it."""

    name: str
    description: str
    input_schema: Mapping[str, Any]

    def params(self) -> dict[str, Any]:
        return {"name": self.name, "description": self.description, "input_schema": dict(self.input_schema)}

    def fault(self, tool_input: Mapping[str, Any]) -> str | None:
        """What is wrong with a call's input, as the text of its result; None if nothing."""
        fault = validate_input(self.input_schema, tool_input)
        return None if fault is None else f"{self.name}: {fault}"


def _schema(required: tuple[str, ...], **properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _texts(description: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}, "description": description}


SEND = TeamTool(
    f"{PREFIX}send_to_agent",
    "Send a message to another agent of this session. It arrives at once; an agent that rests starts to work on it. "
    "Answers come back as messages by themselves: never wait or ask again, go on with other work or end your turn. "
    "If you lead the session and no thread of that name is open, an agent of that name from your list is started.",
    _schema(("agent", "message"), agent=_text(_AGENT), message=_text("All that the agent needs to know.")),
)
LIST = TeamTool(
    f"{PREFIX}list_agents",
    "See the agents that can be started, and every open thread with its name, id and state.",
    _schema(()),
)
START = TeamTool(
    f"{PREFIX}start_agent",
    "Start another agent in a thread of its own: it works beside you, in the same sandbox but with no knowledge of "
    "your conversation, so tell it everything. Its report arrives as a message when it is done. Start several at once "
    "for independent work. Use the name of an agent from your list, or a new name together with a definition.",
    _schema(
        ("agent", "message"),
        agent=_text("The name of a listed agent, or a name for a new one."),
        message=_text("Its task, with everything it needs to know and what to report."),
        definition={
            "type": "object",
            "description": "Defines a new agent that runs on your own model.",
            "properties": {
                "system": _text("Its system prompt."),
                "tools": _texts("Names of your own tools and MCP servers that it may use; all of them if left out."),
                "skills": _texts("Names of your own skills that it may use; all of them if left out."),
            },
            "required": ["system"],
            "additionalProperties": False,
        },
    ),
)
ARCHIVE = TeamTool(
    f"{PREFIX}archive_agent",
    "End the thread of an agent that rests and isn't needed any more. It makes room: at most 25 threads are open.",
    _schema(("agent",), agent=_text(_AGENT)),
)
TASKS = TeamTool(
    f"{PREFIX}tasks",
    "The task list that all agents of this session share. create: add a task (title; description and depends_on if "
    "needed). claim: take a task for yourself; only one agent gets it, and only once everything that it depends on is "
    "finished. finish: mark your task as done, with its result. release: give your task back. list: see all tasks.",
    _schema(
        ("action",),
        action={"type": "string", "enum": ["create", "claim", "finish", "release", "list"]},
        title=_text("Of a new task: what is to be done, in a few words."),
        description=_text("Of a new task: the details."),
        depends_on=_texts("Of a new task: ids of the tasks that must be finished first."),
        task_id=_text("The task to claim, finish or release."),
        result=_text("Of a finished task: what came of it."),
    ),
)
ADVISE = TeamTool(
    f"{PREFIX}consult_advisor",
    "Ask a more capable model for advice. It sees this whole conversation. Use it before decisions that are costly to "
    "undo, or when you are stuck.",
    _schema((), question=_text("What you want advice on.")),
)
RUN_WORKFLOW = TeamTool(
    f"{PREFIX}run_workflow",
    "Run a plan in the background that starts many agents, up to 1,000, and combines their results. You get a message "
    "with the results when it has ended. A plan has phases that run one after another; the agents of a phase run side "
    "by side. In a prompt, {{item}} is the phase's current item, {{index}} its number from 0, and {{results.PHASE}} "
    "the results of an earlier phase as a JSON list. items may be a list, or the name of an earlier phase: then each "
    "of its results is one item.",
    _schema(
        ("name", "phases"),
        name=_text("A short name, shown to people."),
        description=_text("What the plan is for, shown to people."),
        hours={"type": "number", "description": "End the run after so many hours; 24 if left out."},
        phases={
            "type": "array",
            "minItems": 1,
            "maxItems": 50,
            "items": {
                "type": "object",
                "properties": {
                    "name": _text("A short name: letters, digits, hyphens and underscores."),
                    "description": _text("What the phase does."),
                    "prompt": _text("What each agent is told, with its placeholders."),
                    "items": {"description": "A list of texts or values, or the name of an earlier phase."},
                    "count": {"type": "integer", "description": "Without items: how many agents get the same prompt."},
                    "agent": _text("The name of a listed agent; without it an agent like you runs."),
                    "system": _text("A system prompt for an agent like you."),
                    "tools": _texts("Names of your tools that such an agent may use; all of them if left out."),
                    "stop_on_error": {"type": "boolean", "description": "End the run if an agent of this phase fails."},
                },
                "required": ["name", "prompt"],
                "additionalProperties": False,
            },
        },
    ),
)
STOP_WORKFLOW = TeamTool(
    f"{PREFIX}stop_workflow",
    "End a workflow run that is under way, with all its agents.",
    _schema(("run_id",), run_id=_text("The run to end (wrun_…).")),
)

TEAM_TOOLS = {tool.name: tool for tool in (SEND, LIST, START, ARCHIVE, TASKS, ADVISE, RUN_WORKFLOW, STOP_WORKFLOW)}
