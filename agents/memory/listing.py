"""Pages of memories: all below a prefix, or one level of the tree (spec advanced 6.2)."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from agents.memory import paths
from agents.memory.shapes import View, memory_shape, prefix_shape
from agents.models import Memory
from contract.pages import Cursor, paginate

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from agents.models import MemoryStore


def list_memories(
    store: MemoryStore, *, prefix: str, depth: int, view: View, limit: int, page: str | None
) -> dict[str, Any]:
    """One page in the order of paths. Depth 0 is everything below ``prefix``, depth 1 one level of it."""
    paths.check_prefix("path_prefix", prefix)
    kind = f"memories:{store.pk}:{depth}"
    if depth == 1:
        return _level(store, prefix, view, kind, limit, page)
    rows = _with_head(_below(store, prefix), view)
    found = paginate(rows, kind=kind, fields=("path",), limit=limit, page=page, order="asc")
    return found.answer(lambda memory: memory_shape(memory, view))


def _level(store: MemoryStore, prefix: str, view: View, kind: str, limit: int, page: str | None) -> dict[str, Any]:
    """A store holds at most 2,000 memories, so their paths are read and rolled up here."""
    rows = _below(store, prefix)
    if page is not None:
        last = str(Cursor.decode(page, kind=kind, order="asc", size=1).position[0])
        rows = rows.filter(path__gt=last)
        rows = rows.exclude(path__startswith=last) if last.endswith("/") else rows
    below = rows.order_by("path").values_list("path", flat=True)
    entries = list(islice(paths.children(below, prefix), limit + 1))
    shown = entries[:limit]
    own = _with_head(Memory.objects.filter(store=store), view)
    memories = {
        memory.path: memory_shape(memory, view)
        for memory in own.filter(path__in=[entry.path for entry in shown if not entry.is_prefix])
    }
    items = [prefix_shape(entry.path) if entry.is_prefix else memories.get(entry.path) for entry in shown]
    next_page = Cursor(kind, "asc", (shown[-1].path,)).encode() if len(entries) > limit else None
    return {"data": [item for item in items if item is not None], "next_page": next_page}


def _below(store: MemoryStore, prefix: str) -> QuerySet[Memory]:
    rows = Memory.objects.filter(store=store)
    return rows if prefix == paths.ROOT else rows.filter(path__startswith=prefix)


def _with_head(rows: QuerySet[Memory], view: View) -> QuerySet[Memory]:
    rows = rows.select_related("head")
    return rows if view == "full" else rows.defer("head__content")
