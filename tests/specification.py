"""The OpenAPI document as committed. tests/api/test_openapi.py proves it current; making it anew takes a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

COMMITTED = Path(__file__).resolve().parent.parent / "docs" / "openapi.json"
DOCUMENT: dict[str, Any] = json.loads(COMMITTED.read_text(encoding="utf-8"))
PREFIX = "/v1"


def paths() -> dict[str, Any]:
    """Path (`/sessions/{session_id}`, without the version) to its operations by method."""
    return {path.removeprefix(PREFIX): item for path, item in DOCUMENT["paths"].items()}
