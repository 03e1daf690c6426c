"""From one server to another through the SDK: what was written down, and what was said.

Either side may be any server that speaks the API, the hosted one too: copying here pulls, copying from here pushes.
Ids are new on the other side, and references are made to follow. Secrets can't be read anywhere, so vaults arrive
without them. No API makes a session with a past, so each history arrives as a file of JSON lines.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AGENT_FIELDS = ("name", "description", "model", "system", "tools", "mcp_servers", "skills", "multiagent", "metadata")
MAX_HISTORY = 400 * 1024 * 1024


@dataclass(slots=True)
class Copy:
    """One run. ``done`` counts what arrived, ``left`` says in sentences what did not and why."""

    source: Any
    target: Any
    say: Callable[[str], object] = print
    done: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    _ids: dict[str, str] = field(default_factory=dict)

    def run(self, *, histories: bool = True) -> None:
        """Copy everything that can be; one object that can't doesn't stop the rest."""
        steps = [self._environments, self._skills, self._memory_stores, self._vaults, self._agents]
        for step in [*steps, self._sessions] if histories else steps:
            step()

    def _each(self, kind: str, rows: Any, make: Callable[[Any], str | None]) -> None:
        import anthropic

        for row in rows:
            try:
                made = make(row)
            except anthropic.APIStatusError as error:
                self.left.append(f"{kind} {row.id}: {error.message}")
                continue
            if made is not None:
                self._ids[row.id] = made
                self.done[kind] = self.done.get(kind, 0) + 1
                self.say(f"{kind} {row.id} is {made} there")

    def _environments(self) -> None:
        def make(row: Any) -> str:
            config = _plain(row.config)
            body = {"name": row.name, "description": row.description, "config": config, "metadata": row.metadata}
            return str(self.target.beta.environments.create(**body).id)

        self._each("environment", self.source.beta.environments.list(), make)

    def _skills(self) -> None:
        def make(row: Any) -> str | None:
            made = None
            for version in reversed(list(self.source.skills.versions.list(row.id))):
                archive = self.source.beta.skills.versions.download(version.id, skill_id=row.id).read()
                files: Any = [("skill.zip", archive)]
                if made is None:
                    made = self.target.skills.create(display_name=row.display_name, files=files).id
                else:
                    self.target.skills.versions.create(made, files=files)
            return made

        self._each("skill", self.source.skills.list(source="custom"), make)

    def _memory_stores(self) -> None:
        def make(row: Any) -> str:
            beta = self.target.beta.memory_stores
            made = beta.create(name=row.name, description=row.description or "", metadata=row.metadata)
            for memory in self.source.beta.memory_stores.memories.list(row.id, view="full"):
                beta.memories.create(made.id, path=memory.path, content=memory.content)
            return str(made.id)

        self._each("memory store", self.source.beta.memory_stores.list(), make)

    def _vaults(self) -> None:
        def make(row: Any) -> str:
            for credential in self.source.beta.vaults.credentials.list(row.id):
                self.left.append(f"credential {credential.id}: secrets can't be read; enter it again there")
            return str(self.target.beta.vaults.create(display_name=row.display_name, metadata=row.metadata).id)

        self._each("vault", self.source.beta.vaults.list(), make)

    def _agents(self) -> None:
        """Those that others list come first, so that the lists can follow."""

        def make(row: Any) -> str:
            found = _plain(row)
            body = {name: self._followed(found[name]) for name in AGENT_FIELDS if found.get(name) not in (None, [], {})}
            return str(self.target.beta.agents.create(**body).id)

        rows = list(self.source.beta.agents.list())
        self._each("agent", sorted(rows, key=lambda row: getattr(row, "multiagent", None) is not None), make)

    def _sessions(self) -> None:
        def make(row: Any) -> str | None:
            content = io.BytesIO()
            for line in self._history(row):
                content.write(line)
                if content.tell() > MAX_HISTORY:
                    self.left.append(f"session {row.id}: its history is larger than a file may be")
                    return None
            content.seek(0)
            upload: Any = (f"{row.id}.jsonl", content, "application/jsonl")
            return str(self.target.files.upload(file=upload).id)

        self._each("session history", self.source.beta.sessions.list(include_archived=True), make)

    def _history(self, row: Any) -> Iterator[bytes]:
        yield json.dumps(_plain(row)).encode() + b"\n"
        for event in self.source.beta.sessions.events.list(row.id):
            yield json.dumps(_plain(event)).encode() + b"\n"

    def _followed(self, value: Any) -> Any:
        """``value`` with ids of the source replaced by the target's; versions of what was moved mean nothing there."""
        if isinstance(value, dict):
            moved = any(value.get(name) in self._ids for name in ("id", "skill_id"))
            return {key: self._followed(one) for key, one in value.items() if not (moved and key == "version")}
        if isinstance(value, list):
            return [self._followed(one) for one in value]
        return self._ids.get(value, value) if isinstance(value, str) else value


def _plain(model: Any) -> Any:
    """An SDK object as the JSON it came as, without what is null."""
    return model.model_dump(mode="json", exclude_none=True, exclude_unset=True)
