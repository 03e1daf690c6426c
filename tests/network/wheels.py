"""A package index with one small package, ``answering``, as pip asks for it."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from tests import debs
from tests.network import tarballs

if TYPE_CHECKING:
    from tests.credentials.egress.rig import Request

DEBS = "/debs"
NAME = "answering-1.0-py3-none-any.whl"
METADATA = "Metadata-Version: 2.1\nName: answering\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("answering.py", "ANSWER = 42\n")
        archive.writestr("answering-1.0.dist-info/METADATA", METADATA)
        archive.writestr("answering-1.0.dist-info/WHEEL", WHEEL)
        archive.writestr(
            "answering-1.0.dist-info/RECORD",
            "answering.py,,\nanswering-1.0.dist-info/METADATA,,\nanswering-1.0.dist-info/WHEEL,,\n"
            "answering-1.0.dist-info/RECORD,,\n",
        )
    return held.getvalue()


def answer(request: Request) -> None:
    """The page of a package, or its file; npm's and apt's are beside them."""
    if request.path.startswith(f"{DEBS}/"):
        found = debs.repository().get(request.path.rpartition("/")[2])
        request.send(found or b"there is no such file", 200 if found else 404)
        return
    if request.path.startswith(f"{tarballs.BASE}/"):
        tarballs.answer(request)
        return
    if request.path == "/simple/answering/":
        request.send(f'<a href="/files/{NAME}">{NAME}</a>'.encode(), Content_Type="text/html")
    elif request.path == f"/files/{NAME}":
        request.send(wheel(), Content_Type="application/octet-stream")
    else:
        request.send(b"there is no such package", 404)
