"""Pages of memory stores: the stores, what is in one, one memory with its history, and what changes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, OuterRef, Subquery
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.differences import text_diff
from agents.memory import memories, paths, stores, versions
from agents.memory.errors import PreconditionFailed
from agents.models import Memory, MemoryStore, MemoryVersion
from agents.views.shared import listed
from contract import rows
from contract.door import explain, page
from contract.errors import ApiError, NotFound
from contract.roles import Permission

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request

LISTED = 500
HISTORY = 50
SOURCE = {"class": "source", "spellcheck": "false"}


class StoreForm(rows.WithMetadata):
    """A store."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=stores.MAX_NAME)
    description = forms.CharField(
        label=gettext_lazy("Description"),
        required=False,
        max_length=stores.MAX_DESCRIPTION,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("Agents that have the store read it: say what belongs in here."),
    )


class MemoryForm(forms.Form):
    """A memory. ``sha256`` is of the content that was shown, so that nobody overwrites what they haven't seen."""

    path = forms.CharField(
        label=gettext_lazy("Path"),
        max_length=1024,
        widget=forms.TextInput(attrs=SOURCE),
        help_text=gettext_lazy("Starts with a slash: /projects/billing.md."),
    )
    content = forms.CharField(
        label=gettext_lazy("Content"), required=False, strip=False, widget=forms.Textarea(attrs={"rows": 16, **SOURCE})
    )
    sha256 = forms.CharField(required=False, widget=forms.HiddenInput)

    def body(self) -> dict[str, Any]:
        """The API's body of this form."""
        content = self.cleaned_data["content"].replace("\r\n", "\n")
        made: dict[str, Any] = {"path": self.cleaned_data["path"], "content": content}
        if self.cleaned_data["sha256"]:
            made["precondition"] = {"type": "content_sha256", "content_sha256": self.cleaned_data["sha256"]}
        return made


@page(Permission.READ)
def store_list(request: Request) -> HttpResponse:
    held = Memory.objects.filter(store=OuterRef("pk")).order_by().values("store").annotate(count=Count("pk"))
    rows = MemoryStore.objects.filter(workspace_id=request.acting.workspace_id)
    context = listed(request, rows.annotate(held=Subquery(held.values("count"))))
    return render(request, "memory/list.html", context)


@page(Permission.BUILD, "GET", "HEAD", "POST")
def store_new(request: Request) -> HttpResponse:
    form = StoreForm(rows.sent(request))
    made = rows.attempt(request, form, lambda: stores.create_store(form.body(), request.acting))
    if made:
        return redirect("agents:store", made.pk)
    return rows.form_page(request, "memory/store_form.html", {"form": form})


@page(Permission.BUILD, "GET", "HEAD", "POST")
def store_edit(request: Request, store_id: str) -> HttpResponse:
    store = stores.find_store(store_id, request.acting)
    shown = {"name": store.name, "description": store.description}
    form = StoreForm(rows.sent(request), initial=shown, stored=store.metadata)
    if rows.attempt(request, form, lambda: stores.update_store(store_id, form.body(), request.acting)):
        messages.success(request, _("Saved."), "done")
        return redirect("agents:store", store_id)
    return rows.form_page(request, "memory/store_form.html", {"form": form, "store": store})


@page(Permission.READ)
def store(request: Request, store_id: str) -> HttpResponse:
    """One level of a store's folders: ``?in=/folder/``. With ``?q=`` every memory whose path holds it."""
    found = stores.find_store(store_id, request.acting)
    prefix, words = _prefix(request), request.GET.get("q", "").strip().replace("\x00", "")[:200]
    rows = Memory.objects.filter(store=found)
    below = rows.filter(path__startswith=prefix).order_by("path").values_list("path", flat=True)
    entries = list(paths.children(below, prefix)) if not words else []
    shown = [entry.path for entry in entries if not entry.is_prefix]
    wanted = rows.filter(path__icontains=words) if words else rows.filter(path__in=shown)
    context = {
        "store": found,
        "prefix": prefix,
        "crumbs": [(part + "/", part.rpartition("/")[2]) for part in [*paths.ancestors(prefix)]],
        "folders": [(entry.path, entry.path.removeprefix(prefix)) for entry in entries if entry.is_prefix],
        "memories": list(wanted.select_related("head").defer("head__content")[:LISTED]),
        "count": rows.count(),
        "most": memories.MAX_MEMORIES,
        "q": words,
        "history": list(MemoryVersion.objects.filter(store=found).defer("content")[:HISTORY]),
    }
    return render(request, "memory/store.html", context)


@page(Permission.BUILD, "POST")
def store_archive(request: Request, store_id: str) -> HttpResponse:
    archived = stores.archive_store(store_id, request.acting)
    said = _("%(name)s is archived: nothing writes to it any more.") % {"name": archived.name}
    messages.success(request, said, "done")
    return redirect("agents:store", store_id)


@page(Permission.BUILD, "POST")
def store_delete(request: Request, store_id: str) -> HttpResponse:
    name = stores.find_store(store_id, request.acting).name
    stores.delete_store(store_id, request.acting)
    said = _("%(name)s is deleted with all its memories and their history.") % {"name": name}
    messages.success(request, said, "done")
    return redirect("agents:memory")


@page(Permission.OPERATE, "GET", "HEAD", "POST")
def memory_new(request: Request, store_id: str) -> HttpResponse:
    found = stores.find_store(store_id, request.acting)
    form = MemoryForm(request.POST or None, initial={"path": _prefix(request)})
    made = rows.attempt(request, form, lambda: memories.create_memory(store_id, form.body(), request.acting))
    if made:
        return redirect("agents:memory_page", store_id, made.pk)
    return rows.form_page(request, "memory/memory_form.html", {"form": form, "store": found})


@page(Permission.READ)
def memory(request: Request, store_id: str, memory_id: str) -> HttpResponse:
    """A memory, also a deleted one, with its history; ``?version=`` chooses what is shown against what was before."""
    found = stores.find_store(store_id, request.acting)
    rows = MemoryVersion.objects.filter(store=found, memory_id=memory_id)
    history = Paginator(rows.defer("content"), HISTORY).get_page(request.GET.get("page"))
    if not history.object_list:
        raise NotFound(f"There is no memory {memory_id} in memory store {store_id}.")
    living = Memory.objects.filter(pk=memory_id, store=found).select_related("head").first()
    chosen = request.GET.get("version", "").replace("\x00", "")
    shown = versions.find_version(found, chosen) if chosen else (living.head if living else rows[0])
    if shown.memory_id != memory_id:
        raise NotFound(f"Version {chosen} is of another memory.")
    before = rows.filter(created_at__lt=shown.created_at).first()
    context = {"store": found, "memory": living, "memory_id": memory_id, "page": history, "shown": shown}
    context |= {"before": before, "head_id": living.head_id if living else ""}
    context |= {"diff": text_diff(_lines(before), _lines(shown)) if before else ""}
    return render(request, "memory/memory.html", context)


@page(Permission.OPERATE, "GET", "HEAD", "POST")
def memory_edit(request: Request, store_id: str, memory_id: str) -> HttpResponse:
    """What was written meanwhile is shown beside what was typed, with status 409."""
    found = stores.find_store(store_id, request.acting)
    current = memories.find_memory(found, memory_id)
    head = current.head
    initial = {"path": current.path, "content": head.content, "sha256": head.content_sha256}
    form = MemoryForm(request.POST or None, initial=initial)
    context: dict[str, Any] = {"form": form, "store": found, "memory": current}
    if request.method == "POST" and form.is_valid():
        try:
            memories.update_memory(store_id, memory_id, form.body(), request.acting)
        except PreconditionFailed:
            typed = form.cleaned_data["content"].replace("\r\n", "\n").splitlines()
            form.data = {**{name: form.data[name] for name in form.data}, "sha256": head.content_sha256 or ""}
            context |= {"meanwhile": head, "yours": text_diff(_lines(head), typed)}
            return render(request, "memory/memory_form.html", context, status=409)
        except ApiError as error:
            explain(form, error)
        else:
            return redirect("agents:memory_page", store_id, memory_id)
    return rows.form_page(request, "memory/memory_form.html", context)


@page(Permission.OPERATE, "POST")
def memory_delete(request: Request, store_id: str, memory_id: str) -> HttpResponse:
    memories.delete_memory(store_id, memory_id, request.acting)
    messages.success(request, _("The memory is deleted; its history stays until it is redacted."), "done")
    return redirect("agents:memory_page", store_id, memory_id)


@page(Permission.BUILD, "POST")
def version_redact(request: Request, store_id: str, version_id: str) -> HttpResponse:
    gone = versions.redact_version(store_id, version_id, request.acting)
    messages.success(request, _("What that version said is erased."), "done")
    return redirect("agents:memory_page", store_id, gone.memory_id)


def _prefix(request: Request) -> str:
    """The folder that is looked into, with a slash at both ends."""
    sent = request.GET.get("in", paths.ROOT).replace("\x00", "")[:1024]
    return sent if sent.startswith("/") and sent.endswith("/") else paths.ROOT


def _lines(version: MemoryVersion) -> list[str]:
    return (version.content or "").splitlines()
