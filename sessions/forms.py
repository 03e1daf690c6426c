"""Forms of the session pages: what a person types, as the bodies and events the API would get."""

from __future__ import annotations

from decimal import Decimal
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.models import Agent, Environment
from contract.schema import OURS
from credentials.models import Vault
from sessions import events as ev
from sessions import files
from sessions.mounts import UPLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from django.core.files.uploadedfile import UploadedFile

    from contract.acting import Acting

LISTED = 500
MAX_FILES = 20
TITLE_LENGTH = 80
MAX_DIGITS = 9
MESSAGE_LENGTH = 200_000


class FilesInput(forms.ClearableFileInput):
    """A file input that takes several files."""

    allow_multiple_selected = True


class FilesField(forms.FileField):
    """Any number of files, ``MAX_FILES`` at most."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget=FilesInput(attrs={"multiple": True}), required=False, **kwargs)

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile[Any]]:
        chosen = [one for one in (data if isinstance(data, list | tuple) else [data]) if one]
        if len(chosen) > MAX_FILES:
            raise forms.ValidationError(gettext("Attach at most %(count)s files at once.") % {"count": MAX_FILES})
        for one in chosen:
            if (one.size or 0) > files.MAX_UPLOAD:
                raise forms.ValidationError(gettext("%(name)s is over the limit of 500 MB.") % {"name": one.name})
        return chosen


class AgentField(forms.ChoiceField):
    """An agent's id, with ``@`` and a number for one of its versions."""

    def valid_value(self, value: str) -> bool:
        agent_id, at, version = value.partition("@")
        fits = not at or (version.isascii() and version.isdigit() and len(version) <= MAX_DIGITS)
        return fits and super().valid_value(agent_id)


class NewSessionForm(forms.Form):
    """A session and its first message. No agent is chosen by itself; ``agent_…@3`` is one of its versions."""

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
    limit_dollars = forms.DecimalField(
        label=_("US dollars"), required=False, min_value=Decimal("0.01"), max_digits=12, decimal_places=2
    )
    limit_steps = forms.IntegerField(label=_("Steps"), required=False, min_value=1)
    limit_running_seconds = forms.IntegerField(label=_("Seconds of work"), required=False, min_value=1)

    def __init__(self, *args: Any, acting: Acting, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        agents = _open(Agent.objects.filter(workspace_id=acting.workspace_id))
        environments = _open(Environment.objects.filter(workspace_id=acting.workspace_id))
        stores = Vault.objects.filter(workspace_id=acting.workspace_id, archived_at=None)
        self.has_agents, self.has_environments = bool(agents), bool(environments)
        self._choices("agent", [("", _("Choose one")), *self._pinned(dict(agents)), *agents])
        self._choices("environment", environments)
        self._choices("vaults", list(stores.values_list("pk", "display_name")[:LISTED]))

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

    def body(self, mounted: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The API's body of this form, with files already uploaded as ``mounted`` resources."""
        data = self.cleaned_data
        task = data["task"].replace("\r\n", "\n")
        agent_id, _at, version = data["agent"].partition("@")
        made = {
            "agent": {"type": "agent", "id": agent_id, "version": int(version)} if version else agent_id,
            "environment_id": data["environment"],
            "title": data["title"] or short_title(task),
            "resources": list(mounted),
            "initial_events": [message(task, [str(one["mount_path"]) for one in mounted])],
        }
        caps = self._limits()
        return made | ({"vault_ids": data["vaults"]} if data["vaults"] else {}) | ({OURS: caps} if caps else {})

    def _limits(self) -> dict[str, Any]:
        data = self.cleaned_data
        caps = {name: data[f"limit_{name}"] for name in ("steps", "running_seconds") if data[f"limit_{name}"]}
        if data["limit_dollars"]:
            caps["list_cost"] = {"amount": str(int(data["limit_dollars"] * 100)), "currency": "USD"}
        return {"limits": caps} if caps else {}


class MessageForm(forms.Form):
    """The composer."""

    text = forms.CharField(max_length=MESSAGE_LENGTH, error_messages={"required": _("Write a message first.")})
    attachments = FilesField()


def message(text: str, paths: Sequence[str]) -> dict[str, Any]:
    """A ``user.message``; files that came with it are named in a block of their own."""
    content = [{"type": "text", "text": text}]
    if paths:
        content.append({"type": "text", "text": "Attached: " + ", ".join(paths)})
    return {"type": ev.USER_MESSAGE, "content": content}


def upload(chosen: Iterable[UploadedFile[Any]], taken: Iterable[str], acting: Acting) -> list[dict[str, Any]]:
    """Store the chosen files; returns the resources that mount each under its own name."""
    used = set(taken)
    mounted = []
    for one in chosen:
        file = files.upload(one, filename=one.name or "", mime_type=one.content_type, acting=acting)
        path = free_path(file.filename, used)
        used.add(path)
        mounted.append({"type": "file", "file_id": file.pk, "mount_path": path})
    return mounted


def free_path(filename: str, used: set[str]) -> str:
    """``/mnt/session/uploads/<filename>``, numbered before its ending if that is taken."""
    name = PurePosixPath(filename)
    path, number = str(UPLOADS / filename), 2
    while path in used:
        path = str(UPLOADS / f"{name.stem}-{number}{name.suffix}")
        number += 1
    return path


def short_title(task: str) -> str:
    """The first line of a task, cut at a word."""
    line = task.strip().splitlines()[0]
    if len(line) <= TITLE_LENGTH:
        return line
    return line[:TITLE_LENGTH].rsplit(" ", 1)[0] + "…"


def _open(rows: Any) -> list[tuple[str, str]]:
    return list(rows.filter(archived_at=None).values_list("pk", "name")[:LISTED])
