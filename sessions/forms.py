"""Forms of the session pages: what a person types, as the bodies and events the API would get."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from django import forms

from agents.models import Agent, Environment
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
            raise forms.ValidationError(f"Attach at most {MAX_FILES} files at once.")
        for one in chosen:
            if (one.size or 0) > files.MAX_UPLOAD:
                raise forms.ValidationError(f"{one.name} is over the limit of 500 MB.")
        return chosen


class NewSessionForm(forms.Form):
    """A session and its first message."""

    agent = forms.ChoiceField()
    environment = forms.ChoiceField()
    task = forms.CharField(
        max_length=MESSAGE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text="In plain words. The session starts at once.",
    )
    attachments = FilesField(label="Files", help_text="The agent finds them under /mnt/session/uploads.")
    title = forms.CharField(max_length=200, required=False, help_text="Empty takes the first line of the task.")

    def __init__(self, *args: Any, acting: Acting, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        agents = _open(Agent.objects.filter(workspace_id=acting.workspace_id))
        environments = _open(Environment.objects.filter(workspace_id=acting.workspace_id))
        self.has_agents, self.has_environments = bool(agents), bool(environments)
        self._choices("agent", agents)
        self._choices("environment", environments)

    def _choices(self, name: str, rows: Sequence[tuple[str, str]]) -> None:
        field = self.fields[name]
        if isinstance(field, forms.ChoiceField):
            field.choices = list(rows)

    def body(self, mounted: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The API's body of this form, with files already uploaded as ``mounted`` resources."""
        task = self.cleaned_data["task"].replace("\r\n", "\n")
        return {
            "agent": self.cleaned_data["agent"],
            "environment_id": self.cleaned_data["environment"],
            "title": self.cleaned_data["title"] or short_title(task),
            "resources": list(mounted),
            "initial_events": [message(task, [str(one["mount_path"]) for one in mounted])],
        }


class MessageForm(forms.Form):
    """The composer."""

    text = forms.CharField(max_length=MESSAGE_LENGTH, error_messages={"required": "Write a message first."})
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
