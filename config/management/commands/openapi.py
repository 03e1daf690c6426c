"""`manage.py openapi`: the API's OpenAPI document, made from the same types that check its requests."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand

UNORDERED = frozenset({"anyOf", "enum", "oneOf"})


class Command(BaseCommand):
    help = "Print the OpenAPI document of /v1."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(document(), ending="")


def document() -> str:
    """The document as text, the same for the same code."""
    from config.api import api

    return json.dumps(_settled(api.get_openapi_schema(path_prefix="/v1/")), indent=1, sort_keys=True) + "\n"


def _settled(value: Any, key: str = "") -> Any:
    """Alternatives in a fixed order: Python's typing may hand them over in any, as imports have come."""
    if isinstance(value, dict):
        return {name: _settled(one, name) for name, one in value.items()}
    if isinstance(value, list):
        members = [_settled(one) for one in value]
        return sorted(members, key=json.dumps) if key in UNORDERED else members
    return value
