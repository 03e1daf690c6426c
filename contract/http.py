"""The request as our views see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpRequest

if TYPE_CHECKING:
    from contract.acting import Acting


class Request(HttpRequest):
    """A request that has passed sign-in: by API key under ``/v1``, by cookie on the pages."""

    acting: Acting
    request_id: str
