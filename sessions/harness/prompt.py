"""The prompt as a projection of the log: Messages API messages, folded entry by entry. Pure.

The list only ever grows at its end, so that the provider's prompt cache keeps its prefix.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agents.providers.wire import Encoded, summary_block
from sessions import events as ev
from sessions import outcomes
from sessions.harness.notes import sandbox_note

if TYPE_CHECKING:
    from sessions.events import Entry

Block = dict[str, Any]
Resolve = Callable[[Block], Block]

WORKING_NOTE = (
    "You work in a Linux sandbox. The working directory is /workspace. Files the user attached are "
    "read-only below /mnt/session/uploads. Put every file the user should receive into "
    "/mnt/session/outputs."
)

REMINDER_OPENS = "<system-reminder>"

KEPT_RESULTS = 10  # the latest results always stay whole
GO_ON = "Go on with the work from the summary above."
CLEARED = "[This result was taken out to save room. Make the call again if you need it.]"


def system_prompt(system: str | None, *, sandboxed: bool, notes: Iterable[str | None] = ()) -> str | None:
    """The agent's own system prompt, then a note on the sandbox if it has tools that run there, then other notes."""
    parts = [part for part in (system, WORKING_NOTE if sandboxed else None, *notes) if part]
    return "\n\n".join(parts) or None


@dataclass(slots=True)
class Prompt:
    """The conversation of one thread so far.

    ``resolve`` turns a content block that names a stored file into one that holds it.
    """

    resolve: Resolve
    messages: list[dict[str, Any]] = field(default_factory=list)
    encoded: Encoded = field(default_factory=Encoded)
    _queued: dict[str, Entry] = field(default_factory=dict)
    _said: list[Block] = field(default_factory=list)  # by the user since the reply before
    _answered: bool = False
    _parts: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _meanwhile: list[list[Block]] = field(default_factory=list)  # said while calls were open
    _calls: dict[str, str] = field(default_factory=dict)  # call's event id -> the provider's id
    _results: dict[str, Block] = field(default_factory=dict)
    _edited: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # calls that a person changed

    def advance(self, entry: Entry) -> None:
        """Take the next entry of the thread into account."""
        if entry.type in SPOKEN:
            self._spoken(entry)
        elif entry.type == ev.OPS_PROCESSED:
            self._take(entry)
        elif entry.type == ev.AGENT_MESSAGE or entry.type in ev.CALLS:
            self._parts[entry.id] = entry.payload
        elif entry.type == ev.MODEL_END:
            self._reply(entry)
        elif entry.type == ev.OPS_CLEARED:
            self._clear()
        elif entry.type == ev.OPS_REMINDER:
            self._remind(entry.payload["text"])
        elif entry.type == ev.OPS_SANDBOX_RESTORED:
            self._say([_reminder(sandbox_note(entry.payload))])
        elif entry.type == ev.COMPACTED:
            self._compacted(entry)
        elif entry.type == ev.OPS_CALL_EDITED:
            self._edited[entry.payload["tool_use_id"]] = entry.payload
        elif entry.type in ev.RESULTS:
            self._result(entry)

    def last_reply(self) -> str:
        """The text of the model's last reply; "" if it gave none."""
        said = next((message for message in reversed(self.messages) if message["role"] == "assistant"), None)
        if said is None:
            return ""
        return "\n".join(block["text"] for block in said["content"] if block["type"] == "text")

    def _spoken(self, entry: Entry) -> None:
        """What people, other agents and graders say; some of it waits until the loop takes it in."""
        if entry.type == ev.OUTCOME_END:
            if entry.payload["result"] in ("needs_revision", "max_iterations_reached"):
                self._say(outcomes.review(entry.payload))
        elif entry.type in QUEUING or entry.processed_at is None:
            if not (entry.private or {}).get("given"):
                self._queued[entry.id] = entry
        else:
            self._say(_blocks(entry))

    def _take(self, entry: Entry) -> None:
        for event_id in entry.payload["event_ids"]:
            queued = self._queued.pop(event_id, None)
            if queued is not None and not entry.payload.get("dropped"):
                self._say(_blocks(queued))

    def _say(self, blocks: list[Block]) -> None:
        """Add blocks to the user's side; neighbouring user messages are one message. Results of calls come first."""
        if self._calls:
            self._meanwhile.append(blocks)
            return
        blocks = [self.resolve(block) for block in blocks]
        if self._answered:
            self._said, self._answered = [], False
        self._said += blocks
        if self.messages and self.messages[-1]["role"] == "user":
            self.messages[-1]["content"].extend(blocks)
        else:
            self.messages.append({"role": "user", "content": blocks})

    def _clear(self) -> None:
        """Old results leave the prompt, all at once, so that its prefix changes once in many steps and not at each."""
        results = [block for message in self.messages for block in message["content"] if block["type"] == "tool_result"]
        for block in results[:-KEPT_RESULTS]:
            if sum(len(part.get("text", "")) for part in block["content"]) > len(CLEARED) or _has_media(block):
                block["content"] = [{"type": "text", "text": CLEARED}]
        self.encoded = Encoded()

    def _remind(self, text: str) -> None:
        """Our own words to the model, after the results it has just got."""
        self.messages[-1]["content"].append(_reminder(text))

    def _compacted(self, entry: Entry) -> None:
        """Start again from the summary; what the user said last is kept word for word."""
        private, self.encoded = entry.private or {}, Encoded()
        if "block" not in private:
            self.messages = [{"role": "user", "content": [summary_block(private["summary"]), *self._said]}]
            return
        said = list(self._said) or [{"type": "text", "text": GO_ON}]
        self.messages = [{"role": "assistant", "content": [private["block"]]}, {"role": "user", "content": said}]

    def _reply(self, entry: Entry) -> None:
        stored = (entry.private or {}).get("blocks")
        parts, self._parts = self._parts, {}
        if stored is not None:
            self._answered = True
        if stored:
            blocks = [self._restore(block, parts) for block in stored]
            self.messages.append({"role": "assistant", "content": blocks})

    def _restore(self, block: Block, parts: Mapping[str, Mapping[str, Any]]) -> Block:
        """A block of the reply as the provider sent it; text and calls are stored as references."""
        if "event" not in block:
            return block
        payload = parts[block["event"]]
        if block["type"] == "text":
            return {"type": "text", "text": payload["content"][block["index"]]["text"]}
        self._calls[block["event"]] = block["id"]
        name = block.get("name", payload["name"])
        return {"type": "tool_use", "id": block["id"], "name": name, "input": payload["input"]}

    def _result(self, entry: Entry) -> None:
        call_id = entry.payload[ev.CALL_ID_FIELD[entry.type]]
        if call_id not in self._calls:
            return
        content = [self.resolve(block) for block in entry.payload.get("content") or []]
        if call_id in self._edited:
            content.insert(0, _edit_note(self._edited.pop(call_id)))
        self._results[call_id] = {
            "type": "tool_result",
            "tool_use_id": self._calls[call_id],
            "content": content,
            "is_error": bool(entry.payload.get("is_error")),
        }
        if len(self._results) == len(self._calls):
            results = [self._results[call] for call in self._calls]
            self._calls, self._results = {}, {}
            self.messages.append({"role": "user", "content": results})
            meanwhile, self._meanwhile = self._meanwhile, []
            for blocks in meanwhile:
                self._say(blocks)


QUEUING = frozenset({ev.MESSAGE_RECEIVED, ev.OPS_WORKFLOW_REPORT, ev.USER_DEFINE_OUTCOME})
SPOKEN = QUEUING | {ev.USER_MESSAGE, ev.SYSTEM_MESSAGE, ev.OUTCOME_END}


def _reminder(text: str) -> Block:
    return {"type": "text", "text": f"{REMINDER_OPENS}\n{text}\n</system-reminder>"}


def _edit_note(edited: Mapping[str, Any]) -> Block:
    """Tells the model that what ran is not what it called."""
    ran = json.dumps(edited["input"], ensure_ascii=False)
    return {"type": "text", "text": f"A person changed this call before approving it. It ran with this input: {ran}"}


def _has_media(result: Block) -> bool:
    return any(part["type"] != "text" for part in result["content"])


def _blocks(entry: Entry) -> list[Block]:
    if entry.type == ev.USER_DEFINE_OUTCOME:
        return outcomes.assignment(entry.payload)
    content: list[Block] = entry.payload["content"]
    if entry.type == ev.USER_MESSAGE:
        return content
    if entry.type in (ev.MESSAGE_RECEIVED, ev.OPS_WORKFLOW_REPORT):
        private = entry.private or {"name": "workflow", "kind": "results"}
        opening = f'<agent-message from="{private["name"]}" kind="{private["kind"]}">'
        return [{"type": "text", "text": opening}, *content, {"type": "text", "text": "</agent-message>"}]
    text = "\n".join(block["text"] for block in content)
    return [{"type": "text", "text": f"<system-message>\n{text}\n</system-message>"}]
