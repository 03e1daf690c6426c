"""What a session finds in its sandbox, as rows of the form that starts it: files, memory stores, repositories."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from agents.models import MemoryStore
from agents.templatetags.holdfast import size
from contract.rows import Row, Words, of
from sessions.models import File
from sessions.mounts import MAX_BRANCH, MAX_LENGTH, MAX_REPOSITORY_PATH, MAX_URL
from sessions.resources import FILE, MAX_INSTRUCTIONS, MAX_TOKEN, MEMORY_STORE, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from django.db.models import QuerySet

    from contract.acting import Acting

LISTED = 200
FILE_ID = re.compile(r"(?:.*\()?(file_[A-Za-z0-9]+)\)?", re.DOTALL)  # alone, or behind a name
ACCESSES = (("read_write", _("May write")), ("read_only", _("Reads only")))
CHECKOUTS = (("", _("Its default branch")), ("branch", _("Branch")), ("commit", _("Commit")))


class FileRow(Row):
    """An uploaded file: one of the list that the browser searches by name, or any other by its whole name or its id."""

    file = Words(label=_("File"), required=True, source=False)
    mount_path = Words(label=_("Where"), max_length=MAX_LENGTH)
    fields_of = {"file_id": "file"}

    def __init__(self, *args: Any, names: Mapping[str, str], acting: Acting, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.acting = acting
        self.fields["file"].widget.attrs |= {"list": "uploads"}
        self.fields["mount_path"].widget.attrs["placeholder"] = "/mnt/session/uploads/…"
        given = self.initial.get("file")
        if given:
            self.initial["file"] = names.get(given, given)

    @classmethod
    def shown(cls, value: Any) -> dict[str, Any]:
        return {"file": value["file_id"], "mount_path": value.get("mount_path")}

    def clean_file(self) -> str:
        typed = self.cleaned_data["file"]
        found = FILE_ID.fullmatch(typed.strip())
        if found:
            return found[1]
        named = _mountable(self.acting).filter(filename=typed.strip()).first()
        if named is None:
            raise forms.ValidationError(_now("Choose a file of the list, or give its whole name or its id."))
        return str(named.pk)

    def value(self) -> dict[str, Any]:
        path = self.cleaned_data["mount_path"]
        named = {"type": FILE, "file_id": self.cleaned_data["file"]}
        return named | ({"mount_path": path} if path else {})


class StoreRow(Row):
    """A memory store."""

    store = forms.ChoiceField(label=_("Memory store"))
    access = forms.ChoiceField(label=_("The agent"), choices=ACCESSES, initial="read_write")
    instructions = Words(label=_("How to use it"), max_length=MAX_INSTRUCTIONS, source=False)
    fields_of = {"memory_store_id": "store"}

    def __init__(self, *args: Any, stores: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["store"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [("", _("Choose a store")), *stores]

    @classmethod
    def shown(cls, value: Any) -> dict[str, Any]:
        access = value.get("access") or "read_write"
        return {
            "store": value["memory_store_id"],
            "access": access,
            "instructions": value.get("instructions"),
        }

    def value(self) -> dict[str, Any]:
        said = self.cleaned_data["instructions"]
        made = {
            "type": MEMORY_STORE,
            "memory_store_id": self.cleaned_data["store"],
            "access": self.cleaned_data["access"],
        }
        return made | ({"instructions": said} if said else {})


class RepositoryRow(Row):
    """A repository. Its token is never shown again, so a copy asks for it anew."""

    url = Words(label=_("Address"), required=True, max_length=MAX_URL)
    kind = forms.ChoiceField(label=_("Begin at"), choices=CHECKOUTS, required=False)
    ref = Words(label=_("Branch or commit"), max_length=MAX_BRANCH)
    mount_path = Words(label=_("Where"), max_length=MAX_REPOSITORY_PATH)
    authorization_token = forms.CharField(
        label=_("Token"),
        required=False,
        max_length=MAX_TOKEN,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    fields_of = {"checkout": "ref"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["url"].widget.attrs["placeholder"] = "https://github.com/…"
        self.fields["mount_path"].widget.attrs["placeholder"] = "/workspace/…"

    @classmethod
    def shown(cls, value: Any) -> dict[str, Any]:
        checkout = value.get("checkout") or {}
        ref = checkout.get("name") or checkout.get("sha")
        found = {"url": value["url"], "mount_path": value.get("mount_path")}
        return {**found, "kind": checkout.get("type", ""), "ref": ref}

    def clean(self) -> dict[str, Any]:
        kind, ref = self.cleaned_data.get("kind"), self.cleaned_data.get("ref")
        if kind and not ref:
            self.add_error("ref", _now("Name the branch or commit."))
        if ref and not kind:
            self.add_error("kind", _now("Say whether it is a branch or a commit."))
        return self.cleaned_data

    def value(self) -> dict[str, Any]:
        data = self.cleaned_data
        made = {"type": REPOSITORY, "url": data["url"]}
        made |= {name: data[name] for name in ("mount_path", "authorization_token") if data[name]}
        if not data["kind"]:
            return made
        name = "name" if data["kind"] == "branch" else "sha"
        return made | {"checkout": {"type": data["kind"], name: data["ref"]}}


_files = of(FileRow, label=_("Uploaded files"), act=_("Mount a file"))
_stores = of(StoreRow, label=_("Memory stores"), act=_("Attach a store"))
_repositories = of(
    RepositoryRow,
    template="sessions/parts/repository_row.html",
    label=_("Repositories"),
    act=_("Clone a repository"),
    hint=_("Tokens are sealed and never shown again; public repositories need none."),
)


class Mounts:
    """All of a form's resources; ``stored`` are those it begins with, in the shape of the API's requests."""

    def __init__(self, data: Any, stored: Sequence[Mapping[str, Any]], acting: Acting) -> None:
        def of_kind(kind: str) -> list[Any]:
            return [one for one in stored if one["type"] == kind]

        self.uploads = _uploads(acting)
        names = _named(of_kind(FILE), acting)
        stores = _open_stores(acting)
        self.files = _files(data, prefix="files", stored=of_kind(FILE), names=names, acting=acting)
        self.stores = _stores(data, prefix="stores", stored=of_kind(MEMORY_STORE), stores=stores)
        self.repositories = _repositories(data, prefix="repositories", stored=of_kind(REPOSITORY))
        self.has_stores = bool(stores) or bool(self.stores.forms)

    def all(self) -> list[Any]:
        return [self.files, self.stores, self.repositories]

    @property
    def opened(self) -> bool:
        return any(rows.forms for rows in self.all())

    def is_valid(self) -> bool:
        found = [rows.is_valid() for rows in self.all()]
        return all(found)

    def value(self) -> list[dict[str, Any]]:
        return [one for rows in self.all() for one in rows.value()]

    def complain(self, path: str, text: str) -> bool:
        """Put a complaint about ``<number of value>.<field>`` at its row, if there is one."""
        number, _dot, rest = path.partition(".")
        index = int(number) if number.isdigit() else -1
        for rows in self.all():
            count = len(rows.kept())
            if 0 <= index < count:
                rows.complain(f"{index}.{rest}", text)
                return True
            index -= count
        return False

    def complaints(self) -> Iterator[tuple[str, str]]:
        for rows in self.all():
            yield from rows.complaints()


def _mountable(acting: Acting) -> QuerySet[File]:
    """The files that a session could mount, newest first: uploads, and what sessions made."""
    rows = File.objects.filter(Q(session=None) | Q(downloadable=True), workspace_id=acting.workspace_id)
    return rows.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))


def _uploads(acting: Acting) -> list[tuple[str, str]]:
    return [(row.pk, _label(row)) for row in _mountable(acting)[:LISTED]]


def _named(stored: Sequence[Mapping[str, Any]], acting: Acting) -> dict[str, str]:
    """What the files that a form begins with are called; some are a session's copies, which nobody looks for."""
    ids = [one["file_id"] for one in stored]
    rows = File.objects.filter(pk__in=ids, workspace_id=acting.workspace_id) if ids else ()
    return {row.pk: _label(row) for row in rows}


def _label(row: File) -> str:
    return f"{row.filename}, {size(row.size_bytes)} ({row.pk})"


def _open_stores(acting: Acting) -> list[tuple[str, str]]:
    rows = MemoryStore.objects.filter(workspace_id=acting.workspace_id, archived_at=None).order_by("name")
    return list(rows.values_list("pk", "name")[:LISTED])
