"""The form that starts a session: every field of the API's request, and the request it amounts to."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.editing.form import EFFORTS
from agents.editing.overrides import OverridesForm
from agents.editing.rules import rule_rows
from agents.models import Agent, Environment
from contract.rows import Words, pairs
from contract.schema import OURS
from credentials.models import Vault
from sessions import events as ev
from sessions import starting
from sessions.forms import MESSAGE_LENGTH, FilesField, message, short_title
from sessions.inbound import MAX_DESCRIPTION, MAX_RUBRIC
from sessions.mounting import Mounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from contract.acting import Acting

LISTED = 500
MAX_DIGITS = 9
CENTS = 100
COUNTS = ("steps", "model_requests", "tokens", "running_seconds", "approval_seconds")
PLACES = {
    "environment_id": "environment",
    "vault_ids": "vaults",
    "initial_events.1.description": "outcome",
    "initial_events.1.rubric": "rubric",
    "initial_events.1.max_iterations": "outcome_tries",
    "initial_events": "task",
    "budget": "budget_dollars",
    "agent.model": "override_model",
    "agent.system": "override_system",
    "holdfast.limits.list_cost": "limit_dollars",
    **{f"holdfast.limits.{name}": f"limit_{name}" for name in COUNTS},
}


class AgentField(forms.ChoiceField):
    """An agent's id, with ``@`` and a number for one of its versions."""

    def valid_value(self, value: str) -> bool:
        agent_id, at, version = value.partition("@")
        fits = not at or (version.isascii() and version.isdigit() and len(version) <= MAX_DIGITS)
        return fits and super().valid_value(agent_id)


def _count(label: Any, text: Any = "") -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=1, help_text=text)


def _dollars(label: Any, text: Any = "") -> forms.DecimalField:
    least = Decimal("0.01")
    return forms.DecimalField(
        label=label, required=False, min_value=least, max_digits=12, decimal_places=2, help_text=text
    )


class NewSessionForm(forms.Form):
    """A session and its first message. No agent is chosen by itself; ``agent_…@3`` is one of its versions.

    ``initial`` may hold besides the fields ``resources``, ``metadata`` and ``permission_rules`` in the API's shapes,
    and under ``otherwise`` which of the agent's fields the session ``overrides_of`` is told otherwise. ``begin``: the
    fields to do so with are to show what the chosen agent has.
    """

    overrides: OverridesForm | None = None

    agent = AgentField(label=_("Agent"), error_messages={"required": _("Choose an agent.")})
    environment = forms.ChoiceField(label=_("Environment"))
    task = forms.CharField(
        label=_("Task"),
        max_length=MESSAGE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=_("In plain words. The session starts at once."),
    )
    attachments = FilesField(label=_("Files"), help_text=_("The agent finds them under /mnt/session/uploads."))
    title = forms.CharField(
        label=_("Title"), max_length=200, required=False, help_text=_("Empty takes the first line of the task.")
    )
    vaults = forms.MultipleChoiceField(
        label=_("Vaults"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Their secrets serve the session's calls where they fit; the agent never sees them."),
    )
    override_model = forms.CharField(
        label=_("Another model"),
        max_length=256,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    override_effort = forms.ChoiceField(
        label=_("Its effort"),
        required=False,
        choices=[("", _("As usual")), *((level, level.capitalize()) for level in EFFORTS)],
    )
    own_system = forms.BooleanField(label=_("Other instructions than the agent's"), required=False)
    override_system = Words(label=_("Instructions"), rows=4, max_length=100_000, source=False)
    outcome = Words(label=_("What must come of it"), max_length=MAX_DESCRIPTION, source=False)
    rubric = Words(
        label=_("How it is graded"),
        rows=4,
        max_length=MAX_RUBRIC,
        source=False,
        help_text=_("What a good result has; a model looks at what was made and sends the agent back until it is so."),
    )
    outcome_tries = forms.IntegerField(label=_("Tries at most"), required=False, help_text=_("3 if empty."))
    budget_dollars = _dollars(_("Budget, US dollars"), _("The API's budget: the session stops when it is spent."))
    limit_dollars = _dollars(_("US dollars"), _("Beside the budget; limits of agent and workspace hold, too."))
    limit_steps = _count(_("Steps"), _("Model replies with tool calls."))
    limit_model_requests = _count(_("Model requests"))
    limit_tokens = _count(_("Tokens"), _("Of every kind."))
    limit_running_seconds = _count(_("Seconds of work"), _("Waiting for a person doesn't count."))
    limit_approval_seconds = _count(_("Seconds to answer"), _("A call nobody answers by then is refused."))

    def __init__(self, data: Any = None, *args: Any, acting: Acting, begin: bool = False, **kwargs: Any) -> None:
        super().__init__(data, *args, **kwargs)
        self.acting = acting
        agents = _open(Agent.objects.filter(workspace_id=acting.workspace_id))
        environments = _open(Environment.objects.filter(workspace_id=acting.workspace_id))
        vaults = Vault.objects.filter(workspace_id=acting.workspace_id, archived_at=None)
        self.has_agents, self.has_environments = bool(agents), bool(environments)
        self._choices("agent", [("", _("Choose one")), *self._pinned(dict(agents)), *agents])
        only = len(environments) == 1
        self._choices("environment", environments if only else [("", _("Choose one")), *environments])
        self._choices("vaults", list(vaults.values_list("pk", "display_name")[:LISTED]))
        self.mounted = 0
        self.mounts = Mounts(data, self.initial.get("resources") or (), acting)
        self.rules = rule_rows(data, prefix="rules", stored=self.initial.get("permission_rules") or ())
        self.metadata = pairs(data, self.initial.get("metadata"))
        self.overrides = self._overriding(data, begin)

    def _overriding(self, data: Any, begin: bool) -> OverridesForm | None:
        """What the agent is told otherwise; it begins with what the agent, or the earlier session, has."""
        given = self.initial if data is None else data
        of, shown = starting.definition((not begin and given.get("overrides_of")) or given.get("agent"), self.acting)
        otherwise = starting.OVERRIDES if begin else self.initial.get("otherwise", ())
        sent = None if begin else data
        return OverridesForm(sent, shown=shown, of=of, otherwise=otherwise, acting=self.acting)

    def _pinned(self, agents: Mapping[str, str]) -> list[tuple[str, Any]]:
        """The version that was asked for, as a choice of its own."""
        wanted = str(self["agent"].value() or "")
        agent_id, _at, version = wanted.partition("@")
        if not version or agent_id not in agents:
            return []
        return [(wanted, gettext("%(name)s, version %(number)s") % {"name": agents[agent_id], "number": version})]

    def _choices(self, name: str, rows: Sequence[tuple[str, Any]]) -> None:
        field = self.fields[name]
        if isinstance(field, forms.ChoiceField):
            field.choices = list(rows)

    def parts(self) -> list[Any]:
        """What counts besides the fields."""
        return [self.mounts, self.rules, self.metadata, *([self.overrides] if self.overrides else [])]

    def is_valid(self) -> bool:
        found = [super().is_valid(), *(part.is_valid() for part in self.parts())]
        return all(found)

    def limit_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith(("limit_", "budget_"))]

    def limited(self) -> bool:
        return any(field.value() or field.errors for field in self.limit_fields())

    def graded(self) -> bool:
        """Whether an outcome is asked for."""
        return any(self[name].value() or self[name].errors for name in ("outcome", "rubric", "outcome_tries"))

    def overridden(self) -> bool:
        """Whether anything is otherwise than the agent says."""
        names = ("override_model", "override_effort", "own_system")
        own = any(self[name].value() or self[name].errors for name in names) or bool(self["override_system"].errors)
        return own or (self.overrides is not None and self.overrides.used)

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("override_effort") and not data.get("override_model"):
            self.add_error("override_model", gettext("Name the model whose effort it is, even if it is the agent's."))
        return data

    def body(self, mounted: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The API's body of this form, with files already uploaded as ``mounted`` resources."""
        data = self.cleaned_data
        task = data["task"].replace("\r\n", "\n")
        self.mounted = len(mounted)
        made = {
            "agent": self._agent(),
            "environment_id": data["environment"],
            "title": data["title"] or short_title(task),
            "resources": [*mounted, *self.mounts.value()],
            "initial_events": [message(task, [str(one["mount_path"]) for one in mounted]), *self._outcome()],
            "vault_ids": data["vaults"],
            "metadata": dict(self.metadata.value()),
            "budget": self.budget(),
            OURS: {name: value for name, value in self._ours().items() if value},
        }
        return {name: value for name, value in made.items() if value}

    def _agent(self) -> str | dict[str, Any]:
        data = self.cleaned_data
        agent_id, _at, version = data["agent"].partition("@")
        named = {"id": agent_id} | ({"version": int(version)} if version else {})
        over: dict[str, Any] = self.overrides.value() if self.overrides else {}
        if data["override_model"]:
            effort = {"effort": data["override_effort"]} if data["override_effort"] else {}
            over["model"] = {"id": data["override_model"], **effort}
        if data["own_system"]:
            over["system"] = data["override_system"] or None
        if over:
            return {"type": "agent_with_overrides", **named, **over}
        return {"type": "agent", **named} if version else agent_id

    def _outcome(self) -> list[dict[str, Any]]:
        data = self.cleaned_data
        if not data["outcome"] and not data["rubric"]:
            return []
        tries = {"max_iterations": data["outcome_tries"]} if data["outcome_tries"] is not None else {}
        rubric = {"type": "text", "content": data["rubric"]}
        return [{"type": ev.USER_DEFINE_OUTCOME, "description": data["outcome"], "rubric": rubric, **tries}]

    def budget(self) -> dict[str, Any] | None:
        spent = self.cleaned_data["budget_dollars"]
        return {"type": "limit", "max_list_cost": _cost(spent)} if spent else None

    def _ours(self) -> dict[str, Any]:
        data = self.cleaned_data
        caps = {name: data[f"limit_{name}"] for name in COUNTS if data[f"limit_{name}"]}
        if data["limit_dollars"]:
            caps["list_cost"] = _cost(data["limit_dollars"])
        return {"limits": caps, "permission_rules": self.rules.value()}

    def complain(self, path: str, text: str) -> None:
        """Put a complaint about the API's field at ``path`` where it belongs."""
        head, _dot, rest = path.partition(".")
        number, _dot, below = rest.partition(".")
        if head == "resources" and number.isdigit():
            if not self.mounts.complain(f"{int(number) - self.mounted}.{below}", text):
                self.add_error("attachments" if "attachments" in self.fields else None, text)
        elif path.startswith(f"{OURS}.permission_rules"):
            self.rules.complain(path.removeprefix(f"{OURS}.permission_rules").lstrip("."), text)
        elif head == "metadata":
            self.metadata.complain(rest, text)
        elif head == "agent" and self.overrides is not None and number in starting.OVERRIDES:
            self.overrides.complain(rest, text)
        else:
            name = next((name for prefix, name in PLACES.items() if f"{path}.".startswith(f"{prefix}.")), head)
            self.add_error(name if name in self.fields else None, text)

    def complaints(self) -> list[tuple[str, str]]:
        """The id of each field that is wrong, and what is wrong with it."""
        own = [(name, errors) for name, errors in self.errors.items() if name in self.fields]
        told = [(str(self[name].auto_id), " ".join(map(str, errors))) for name, errors in own]
        return [*told, *(one for part in self.parts() for one in part.complaints())]


def _cost(dollars: Decimal) -> dict[str, str]:
    return {"amount": str(int(dollars * CENTS)), "currency": "USD"}


def _open(rows: Any) -> list[tuple[str, str]]:
    return list(rows.filter(archived_at=None).values_list("pk", "name")[:LISTED])
