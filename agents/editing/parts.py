"""What stands in the editor besides plain fields: the rows, the roster and the settings of the web tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.editing.roster import RosterForm
from agents.editing.rules import rule_rows
from agents.editing.skills import SkillsForm
from agents.editing.tooling import Tooling
from contract.rows import pairs
from contract.schema import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from contract.acting import Acting


class Parts(Tooling):
    """``shown`` is the stored agent that the unsent form shows, {} for none; ``own`` the id of the edited one."""

    def __init__(self, data: Any, shown: Mapping[str, Any], own: str, acting: Acting) -> None:
        super().__init__(data, shown)
        rules = (shown.get(OURS) or {}).get("permission_rules") or ()
        self.rules = rule_rows(data, prefix="rules", stored=rules)
        self.metadata = pairs(data, shown.get("metadata"))
        self.skills = SkillsForm(data, shown.get("skills", ()), acting)
        self.roster = RosterForm(data, shown.get("multiagent"), own, acting)

    def parts(self) -> list[Any]:
        return [*super().parts(), self.rules, self.metadata, self.skills, self.roster]

    def is_valid(self) -> bool:
        found = [part.is_valid() for part in self.parts()]  # each of them, so that all complaints are told
        return all(found)

    def values(self) -> dict[str, Any]:
        """What they say, by the names ``written.body`` reads."""
        return super().values() | {
            "permission_rules": self.rules.value(),
            "skills": self.skills.value(),
            "metadata": dict(self.metadata.value()),
            "multiagent": self.roster.value(),
        }

    def complain(self, path: str, text: str) -> bool:
        """Put a complaint about the API's field at ``path`` in its place, if it is one of these."""
        for prefix, part in (
            ("holdfast.permission_rules", self.rules),
            ("mcp_servers", self.servers),
            ("metadata", self.metadata),
            ("skills", self.skills),
            ("multiagent", self.roster),
            ("tools", self.customs),
        ):
            if path == prefix or path.startswith(f"{prefix}."):
                part.complain(path[len(prefix) + 1 :], text)
                return True
        return False

    def complaints(self) -> Iterator[tuple[str, str]]:
        for part in self.parts():
            yield from part.complaints()
