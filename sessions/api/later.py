"""Resources whose engines this version lacks: their lists are empty and nothing can be made of them.

A request is checked by the SDK's types all the same, so that its own mistakes are told first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from contract.errors import InvalidRequest, NotFound
from contract.pages import BAD

if TYPE_CHECKING:
    from contract.acting import Acting
    from contract.roles import Permission


def refuse(what: str, acting: Acting, permission: Permission) -> NoReturn:
    """The answer to a create; ``what`` begins the sentence, such as ``Deployments``."""
    acting.require(permission)
    raise InvalidRequest(f"{what} are not supported by this version of Holdfast; nothing was created.")


def missing(what: str, object_id: str) -> NoReturn:
    """The answer to anything that names an object: none was ever made."""
    raise NotFound(f"There is no {what} {object_id} in this workspace.")


def empty(page: str | None) -> dict[str, Any]:
    """The only page of an empty list; it never handed out a cursor."""
    if page is not None:
        raise InvalidRequest(BAD)
    return {"data": [], "next_page": None}
