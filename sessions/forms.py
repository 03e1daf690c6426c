"""Files and messages on the session pages: what a person types or attaches, as the events the API would get."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from sessions import events as ev
from sessions import files
from sessions.mounts import UPLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from django.core.files.uploadedfile import UploadedFile

    from contract.acting import Acting

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
            raise forms.ValidationError(gettext("Attach at most %(count)s files at once.") % {"count": MAX_FILES})
        for one in chosen:
            if (one.size or 0) > files.MAX_UPLOAD:
                raise forms.ValidationError(gettext("%(name)s is over the limit of 500 MB.") % {"name": one.name})
        return chosen


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
