"""``/v1/memory_stores`` with their memories and versions (spec advanced 6)."""

from typing import Annotated, Any, Literal

from ninja import Body, Query, Router
from pydantic import Field

from agents.memory import memories, stores, versions
from agents.memory.listing import list_memories
from agents.memory.shapes import View, memory_shape, store_shape, version_shape
from agents.models import MemoryStore, MemoryVersion
from contract.http import Request
from contract.pages import paginate
from contract.query import AgentRange
from contract.query import Query as QueryModel
from contract.schema import Answer, Params

router = Router(tags=["Memory"])

STORE = "beta_managed_agents_memory_store.BetaManagedAgentsMemoryStore"
STORE_DELETED = "beta_managed_agents_deleted_memory_store.BetaManagedAgentsDeletedMemoryStore"
MEMORY = "memory_stores.beta_managed_agents_memory.BetaManagedAgentsMemory"
MEMORY_ITEM = "memory_stores.beta_managed_agents_memory_list_item.BetaManagedAgentsMemoryListItem"
MEMORY_DELETED = "memory_stores.beta_managed_agents_deleted_memory.BetaManagedAgentsDeletedMemory"
VERSION = "memory_stores.beta_managed_agents_memory_version.BetaManagedAgentsMemoryVersion"

StoreAnswer = Annotated[dict[str, Any], Answer(STORE)]
StorePage = Annotated[dict[str, Any], Answer(STORE, page=True)]
StoreDeleted = Annotated[dict[str, Any], Answer(STORE_DELETED)]
MemoryAnswer = Annotated[dict[str, Any], Answer(MEMORY)]
MemoryPage = Annotated[dict[str, Any], Answer(MEMORY_ITEM, page=True)]
MemoryDeleted = Annotated[dict[str, Any], Answer(MEMORY_DELETED)]
VersionAnswer = Annotated[dict[str, Any], Answer(VERSION)]
VersionPage = Annotated[dict[str, Any], Answer(VERSION, page=True)]

ELSEWHERE = frozenset({"memory_store_id", "view"})  # in the path and in the query
CreateStore = Annotated[dict[str, Any], Params("memory_store_create_params.MemoryStoreCreateParams")]
UpdateStore = Annotated[dict[str, Any], Params("memory_store_update_params.MemoryStoreUpdateParams")]
CreateMemory = Annotated[
    dict[str, Any], Params("memory_stores.memory_create_params.MemoryCreateParams", elsewhere=ELSEWHERE)
]
UpdateMemory = Annotated[
    dict[str, Any], Params("memory_stores.memory_update_params.MemoryUpdateParams", elsewhere=ELSEWHERE)
]

MAX_FULL = 20  # items on a page that carries contents


class PageQuery(QueryModel):
    limit: int = Field(20, ge=1, le=100)
    page: str | None = None


class StoresQuery(AgentRange, PageQuery):
    include_archived: bool = False


class BasicView(QueryModel):
    view: View = "basic"


class FullView(QueryModel):
    view: View = "full"


class ViewPage(BasicView, PageQuery):
    def size(self) -> int:
        """The page size: contents come at most twenty at a time, whatever ``limit`` says."""
        return min(self.limit, MAX_FULL) if self.view == "full" else self.limit


class MemoriesQuery(ViewPage):
    path_prefix: str = "/"
    depth: Annotated[int, Field(ge=0, le=1)] = 0


class VersionsQuery(AgentRange, ViewPage):
    memory_id: str | None = None
    operation: Literal["created", "modified", "deleted"] | None = None
    session_id: str | None = None
    api_key_id: str | None = None
    service_account_id: str | None = None

    def filters(self) -> list[dict[str, Any]]:
        """What the rows must match. A version has one author, so two kinds of author match nothing."""
        found: list[dict[str, Any]] = [{f"created_at__{name}": moment} for name, moment in self.bounds().items()]
        found += [{name: value} for name in ("memory_id", "operation") if (value := getattr(self, name)) is not None]
        for kind in ("session", "api", "service_account"):
            author = getattr(self, "api_key_id" if kind == "api" else f"{kind}_id")
            if author is not None:
                found.append({"author_kind": kind, "author_id": author})
        return found


class DeleteQuery(QueryModel):
    expected_content_sha256: str | None = None


@router.post("", response=StoreAnswer, operation_id="memory_stores.create")
def create_store(request: Request, body: Body[CreateStore]) -> dict[str, Any]:
    return store_shape(stores.create_store(body, request.acting))


@router.get("", response=StorePage, operation_id="memory_stores.list")
def list_stores(request: Request, query: Query[StoresQuery]) -> dict[str, Any]:
    """Newest first."""
    bounds = query.bounds()
    rows = MemoryStore.objects.filter(workspace_id=request.acting.workspace_id)
    rows = rows.filter(**query.created())
    if not query.include_archived:
        rows = rows.filter(archived_at=None)
    fields = ("created_at", "id")
    found = paginate(rows, kind="memory_stores", fields=fields, limit=query.limit, page=query.page, bounds=bounds)
    return found.answer(store_shape)


@router.get("/{store_id}", response=StoreAnswer, operation_id="memory_stores.retrieve")
def retrieve_store(request: Request, store_id: str) -> dict[str, Any]:
    return store_shape(stores.find_store(store_id, request.acting))


@router.post("/{store_id}", response=StoreAnswer, operation_id="memory_stores.update")
def update_store(request: Request, store_id: str, body: Body[UpdateStore]) -> dict[str, Any]:
    return store_shape(stores.update_store(store_id, body, request.acting))


@router.delete("/{store_id}", response=StoreDeleted, operation_id="memory_stores.delete")
def delete_store(request: Request, store_id: str) -> dict[str, Any]:
    stores.delete_store(store_id, request.acting)
    return {"id": store_id, "type": "memory_store_deleted"}


@router.post("/{store_id}/archive", response=StoreAnswer, operation_id="memory_stores.archive")
def archive_store(request: Request, store_id: str) -> dict[str, Any]:
    return store_shape(stores.archive_store(store_id, request.acting))


@router.post("/{store_id}/memories", response=MemoryAnswer, operation_id="memory_stores.memories.create")
def create_memory(request: Request, store_id: str, query: Query[BasicView], body: Body[CreateMemory]) -> dict[str, Any]:
    return memory_shape(memories.create_memory(store_id, body, request.acting), query.view)


@router.get("/{store_id}/memories", response=MemoryPage, operation_id="memory_stores.memories.list")
def list_of_memories(request: Request, store_id: str, query: Query[MemoriesQuery]) -> dict[str, Any]:
    """In the order of their paths' bytes."""
    store = stores.find_store(store_id, request.acting)
    prefix, limit = query.path_prefix, query.size()
    return list_memories(store, prefix=prefix, depth=query.depth, view=query.view, limit=limit, page=query.page)


@router.get("/{store_id}/memories/{memory_id}", response=MemoryAnswer, operation_id="memory_stores.memories.retrieve")
def retrieve_memory(request: Request, store_id: str, memory_id: str, query: Query[FullView]) -> dict[str, Any]:
    store = stores.find_store(store_id, request.acting)
    return memory_shape(memories.find_memory(store, memory_id), query.view)


@router.post("/{store_id}/memories/{memory_id}", response=MemoryAnswer, operation_id="memory_stores.memories.update")
def update_memory(
    request: Request, store_id: str, memory_id: str, query: Query[BasicView], body: Body[UpdateMemory]
) -> dict[str, Any]:
    return memory_shape(memories.update_memory(store_id, memory_id, body, request.acting), query.view)


@router.delete("/{store_id}/memories/{memory_id}", response=MemoryDeleted, operation_id="memory_stores.memories.delete")
def delete_memory(request: Request, store_id: str, memory_id: str, query: Query[DeleteQuery]) -> dict[str, Any]:
    memories.delete_memory(store_id, memory_id, request.acting, expected_sha256=query.expected_content_sha256)
    return {"id": memory_id, "type": "memory_deleted"}


@router.get("/{store_id}/memory_versions", response=VersionPage, operation_id="memory_stores.memory_versions.list")
def list_versions(request: Request, store_id: str, query: Query[VersionsQuery]) -> dict[str, Any]:
    """Newest first."""
    rows = MemoryVersion.objects.filter(store=stores.find_store(store_id, request.acting))
    for condition in query.filters():
        rows = rows.filter(**condition)
    if query.view == "basic":
        rows = rows.defer("content")
    kind, fields = f"memory_versions:{store_id}", ("created_at", "id")
    found = paginate(rows, kind=kind, fields=fields, limit=query.size(), page=query.page, bounds=query.bounds())
    return found.answer(lambda version: version_shape(version, query.view))


@router.get(
    "/{store_id}/memory_versions/{version_id}",
    response=VersionAnswer,
    operation_id="memory_stores.memory_versions.retrieve",
)
def retrieve_version(request: Request, store_id: str, version_id: str, query: Query[FullView]) -> dict[str, Any]:
    store = stores.find_store(store_id, request.acting)
    return version_shape(versions.find_version(store, version_id), query.view)


@router.post(
    "/{store_id}/memory_versions/{version_id}/redact",
    response=VersionAnswer,
    operation_id="memory_stores.memory_versions.redact",
)
def redact_version(request: Request, store_id: str, version_id: str) -> dict[str, Any]:
    """What is left of the version."""
    return version_shape(versions.redact_version(store_id, version_id, request.acting), "full")
