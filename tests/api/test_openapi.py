"""The committed OpenAPI document is the one the code makes."""

from __future__ import annotations

from io import StringIO

from django.core.management import call_command

from tests.specification import COMMITTED, DOCUMENT


def test_the_committed_document_is_the_one_that_the_command_prints() -> None:
    out = StringIO()
    call_command("openapi", stdout=out)
    assert COMMITTED.read_text() == out.getvalue(), "the API changed: run `make openapi` and look at the difference"
    assert DOCUMENT["info"]["title"] == "Holdfast"


def test_every_operation_says_what_it_answers() -> None:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            assert operation["operationId"], (method, path)
            streams = path.endswith(("/stream", "/content", "/export"))
            assert streams or "schema" in operation["responses"]["200"]["content"]["application/json"], (method, path)
