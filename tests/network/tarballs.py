"""A registry with one small package, ``answering``, as npm asks for it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.credentials.egress.rig import Request

BASE = "/npm"
FILE = f"{BASE}/answering/-/answering-1.0.0.tgz"
ABOUT = {"name": "answering", "version": "1.0.0", "main": "index.js"}


def tarball() -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for name, text in (("package.json", json.dumps(ABOUT)), ("index.js", "module.exports = 42;\n")):
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return held.getvalue()


KEPT = tarball()


def answer(request: Request) -> None:
    """The document of a package, or its file."""
    if request.path == f"{BASE}/answering":
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(KEPT).digest()).decode()
        dist = {"tarball": f"http://{request.headers['host']}{FILE}", "integrity": integrity}
        document = {
            "name": "answering",
            "dist-tags": {"latest": "1.0.0"},
            "versions": {"1.0.0": {**ABOUT, "dist": dist}},
        }
        request.send(json.dumps(document).encode(), Content_Type="application/json")
    elif request.path == FILE:
        request.send(KEPT, Content_Type="application/octet-stream")
    else:
        request.send(b'{"error": "not found"}', 404, Content_Type="application/json")
