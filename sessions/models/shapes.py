"""What the database itself refuses in a row, whoever writes it: values that no reader could make sense of.

For the rows that every step changes it does so by triggers: a CHECK constraint is read from the catalogue, planned and
carried out by every update of a row, whatever that changes, which was two fifths of the database's time for a step. A
trigger is run by an update that names one of its columns. They are set with each migration (``sessions.storing``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.expressions import RawSQL
from django.db.models.lookups import Exact

from credentials import at_rest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STATUSES = ("idle", "running", "rescheduling", "terminated")


def of_kind(kind: str, *names: str, name: str) -> models.CheckConstraint:
    """These JSON columns hold one kind (`object`, `array`) or nothing."""
    conditions = Q()
    for column in names:
        found = Func(F(column), function="jsonb_typeof", output_field=models.CharField())
        conditions &= Q(Exact(found, Value(kind)))
    return models.CheckConstraint(condition=conditions, name=name)


OBJECT, ARRAY = "jsonb_typeof({}) = 'object'", "jsonb_typeof({}) = 'array'"


def _holding(path: str) -> str:
    """An object of which a jsonpath predicate is true, or nothing."""
    return f"{OBJECT} AND coalesce(jsonb_path_match({{}}, '{path}'), {{}} IS NULL)"


AMOUNT = '@.amount.type() == "string" && @.amount like_regex "^[0-9]+$"'
NO_OBJECT = '.type() ? (@ != "object")'
AGENT = _holding(
    '$.name.type() == "string" && $.model.type() == "object" && $.model.id.type() == "string"'
    f' && $.tools.type() == "array" && !exists($.tools[*]{NO_OBJECT})'
    f' && (!exists($.skills) || $.skills.type() == "array" && !exists($.skills[*]{NO_OBJECT}))'
    f' && (!exists($.mcp_servers) || $.mcp_servers.type() == "array" && !exists($.mcp_servers[*]{NO_OBJECT}))'
)
OBJECTS = f"{ARRAY} AND jsonb_path_match({{}}, '!exists($[*]{NO_OBJECT})')"
SEALED = f"{OBJECT} AND {{}} ? '{at_rest.MARK}'"
LABELS = _holding('!exists($.keyvalue() ? (@.value.type() != "string"))')
BUDGET = _holding(f"exists($.max_list_cost ? ({AMOUNT}))")
LIMITS = _holding(
    '!exists($.keyvalue() ? (@.key != "list_cost" && @.value.type() != "number"))'
    f" && (!exists($.list_cost) || exists($.list_cost ? ({AMOUNT})))"
)
NUMBERS = _holding('!exists($.keyvalue() ? (@.value.type() != "number"))')
TYPED = _holding('$.type.type() == "string"')
STATUS = f"{{}} IN ({', '.join(map(repr, STATUSES))})"
# Time and money are numbers: PostgreSQL sorts NaN above everything else, where nothing else may be.
SECONDS, SUM = "{} < 'Infinity'", "{} < 10000000000"


class Guard(NamedTuple):
    """A trigger by which a table's rows hold only values of which the conditions of their columns aren't false."""

    table: str
    name: str
    columns: Mapping[str, str]

    def statements(self) -> Sequence[str]:
        """What sets it, or sets it anew."""
        holds = " AND ".join(f"({one.replace('{}', f'NEW.{column}')})" for column, one in self.columns.items())
        function = f"""
CREATE OR REPLACE FUNCTION agent_sessions_{self.name}() RETURNS trigger AS $$
BEGIN
  IF ({holds}) IS FALSE THEN
    RAISE EXCEPTION 'A row of % would hold a value that no reader could make sense of (%).', TG_TABLE_NAME, TG_NAME
      USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
  END IF;
  RETURN NEW;
END $$ LANGUAGE plpgsql
"""
        trigger = f"""
CREATE OR REPLACE TRIGGER {self.name} BEFORE INSERT OR UPDATE OF {", ".join(self.columns)} ON {self.table}
FOR EACH ROW EXECUTE FUNCTION agent_sessions_{self.name}()
"""
        return function, trigger


PROJECTED = {"status": STATUS, "stop_reason": TYPED, "usage": NUMBERS, "cost": SUM, "active_seconds": SECONDS}
GUARDS = (
    Guard(
        "agent_sessions_session",
        "session_given",
        {
            "agent_snapshot": AGENT,
            "metadata": LABELS,
            "limits": LIMITS,
            "sandbox_config": OBJECT,
            "vault_ids": ARRAY,
            "permission_rules": OBJECTS,
            "remembered_rules": OBJECTS,
        },
    ),
    Guard("agent_sessions_session", "session_projected", {**PROJECTED, "budget": BUDGET}),
    Guard("agent_sessions_thread", "thread_given", {"agent": OBJECT}),
    Guard("agent_sessions_thread", "thread_projected", {**PROJECTED, "pending": ARRAY}),
)
# What lists leave in the database, and the conditions under which readers could make sense of it.
UNLISTED = {
    **{
        name: GUARDS[0].columns[name] for name in ("agent_snapshot", "metadata", "permission_rules", "remembered_rules")
    },
    "outcomes": f"({OBJECTS}) OR ({SEALED})",
}


def unread(names: Sequence[str]) -> RawSQL:
    """Which of the columns ``names`` of a session's row no reader could make sense of; the database tells it."""
    table = GUARDS[0].table
    columns = {name: UNLISTED[name].replace("{}", f"{table}.{name}") for name in names}
    told = ", ".join(f"CASE WHEN ({holds}) IS FALSE THEN '{name}' END" for name, holds in columns.items())
    return RawSQL(f"array_remove(ARRAY[{told}]::text[], NULL)", [])  # noqa: S611  made of constants
