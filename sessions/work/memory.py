"""The memory stores of a session as an outside worker reaches them: by the API, with the item's sessions token."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from agents.memory.mounted import Mount, NotStored, Overtaken
from agents.sandboxes.base import MEMORY

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping, Sequence

    from agents.sandboxes.base import FolderChange

PAGE = 100
BESIDE = 8  # documents that are fetched at one time
ANSWER_SECONDS = 120.0
PRECONDITION_FAILED = "memory_precondition_failed_error"

T = TypeVar("T")


def mounts(session: Any) -> list[Mount]:
    """The memory stores of a session as the API tells of it."""
    return [
        Mount(one.mount_path.removeprefix(f"{MEMORY}/"), one.memory_store_id, one.access == "read_only")
        for one in session.resources
        if one.type == "memory_store" and one.mount_path
    ]


class Shelf:
    """``mounted.Shelf`` by the SDK's asynchronous client. Called from threads beside ``loop``."""

    def __init__(self, client: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._stores, self._loop = client.beta.memory_stores, loop
        self._ids: dict[tuple[str, str], str] = {}  # (store, path) -> memory

    def newest(self, store_ids: Sequence[str]) -> Mapping[str, str]:
        return self._wait(self._newest(store_ids))

    def heads(self, store_id: str) -> Mapping[str, str]:
        return self._wait(self._heads(store_id))

    def contents(self, store_id: str, paths: Sequence[str]) -> Iterable[tuple[str, str]]:
        return self._wait(self._contents(store_id, paths))

    def write(self, store_id: str, change: FolderChange, text: str | None) -> str | None:
        return self._wait(self._write(store_id, change, text))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_SECONDS)

    async def _newest(self, store_ids: Sequence[str]) -> dict[str, str]:
        pages = [await self._stores.memory_versions.list(store_id, limit=1) for store_id in store_ids]
        return {store_id: page.data[0].id for store_id, page in zip(store_ids, pages, strict=True) if page.data}

    async def _heads(self, store_id: str) -> dict[str, str]:
        found: dict[str, str] = {}
        async for one in self._stores.memories.list(store_id, view="basic", limit=PAGE):
            if one.type == "memory":
                found[one.path] = one.content_sha256 or ""
                self._ids[store_id, one.path] = one.id
        return found

    async def _contents(self, store_id: str, paths: Sequence[str]) -> list[tuple[str, str]]:
        beside = asyncio.Semaphore(BESIDE)

        async def one(path: str) -> tuple[str, str] | None:
            async with beside:
                memory = await self._memory(store_id, path)
            return (path, memory.content or "") if memory is not None else None

        found = await asyncio.gather(*(one(path) for path in paths))
        return [document for document in found if document is not None]

    async def _memory(self, store_id: str, path: str) -> Any:
        """The memory of that path with its content; None if there is none (any more)."""
        import anthropic

        if (store_id, path) not in self._ids:
            await self._heads(store_id)
        memory_id = self._ids.get((store_id, path))
        if memory_id is None:
            return None
        try:
            return await self._stores.memories.retrieve(memory_id, memory_store_id=store_id, view="full")
        except anthropic.NotFoundError:
            del self._ids[store_id, path]
            return None

    async def _write(self, store_id: str, change: FolderChange, text: str | None) -> str | None:
        import anthropic

        try:
            return await self._bring(store_id, change, text)
        except anthropic.APIStatusError as error:
            if error.type == PRECONDITION_FAILED:
                raise Overtaken from None
            raise NotStored(_message(error)) from None

    async def _bring(self, store_id: str, change: FolderChange, text: str | None) -> str | None:
        memories = self._stores.memories
        memory = await self._memory(store_id, change.path)
        if memory is None:
            if text is None:
                return None
            made = await memories.create(store_id, path=change.path, content=text)
            self._ids[store_id, change.path] = made.id
            return str(made.content_sha256)
        if text is None:
            await memories.delete(memory.id, memory_store_id=store_id, expected_content_sha256=change.known)
            del self._ids[store_id, change.path]
            return None
        if memory.content_sha256 == change.now:
            return change.now
        if change.known is None:
            raise NotStored(f"path: {change.path} is taken by memory {memory.id}; update that one")
        precondition = {"type": "content_sha256", "content_sha256": change.known}
        updated = await memories.update(memory.id, memory_store_id=store_id, content=text, precondition=precondition)
        return str(updated.content_sha256)


def _message(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return str((body.get("error") or {}).get("message") or error.message)
