"""The committed OpenAPI document is the one the code makes."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

from django.core.management import call_command

from config.management.commands.openapi import document

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def test_the_committed_document_is_current() -> None:
    assert COMMITTED.read_text() == document(), "the API changed: run `make openapi` and look at the difference"


def test_the_command_prints_the_document() -> None:
    out = StringIO()
    call_command("openapi", stdout=out)
    assert json.loads(out.getvalue())["info"]["title"] == "Holdfast"


def test_every_operation_says_what_it_answers() -> None:
    for path, item in json.loads(document())["paths"].items():
        for method, operation in item.items():
            assert operation["operationId"], (method, path)
            streams = path.endswith(("/stream", "/content", "/export"))
            assert streams or "schema" in operation["responses"]["200"]["content"]["application/json"], (method, path)
