"""Archives for tests: good ones, and ones that no tool would make."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD = "---\nname: {name}\ndescription: {description}\n---\n# How to\n"
Content = bytes | str


def skill_md(name: str = "greeting", description: str = "Greets people. Use it when somebody says hello.") -> str:
    return HEAD.format(name=name, description=description)


def zipped(files: Mapping[str, Content], *, modes: Mapping[str, int] | None = None, method: int = 8) -> bytes:
    """A zip of ``files``; ``modes`` are whole Unix modes, links and devices too."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            info.create_system = 3
            info.external_attr = (modes or {}).get(name, stat.S_IFREG | 0o644) << 16
            target.writestr(info, content)
    return out.getvalue()


def good(name: str = "greeting", **files: Content) -> bytes:
    """A skill that keeps every rule."""
    return zipped({f"{name}/SKILL.md": skill_md(name), **{f"{name}/{path}": data for path, data in files.items()}})


def doctored(data: bytes, record: bytes, offset: int, form: str, value: int) -> bytes:
    """``data`` with a number written over every ``record`` (its signature) at ``offset``."""
    changed, at = bytearray(data), data.find(record)
    while at >= 0:
        struct.pack_into(form, changed, at + offset, value)
        at = data.find(record, at + 1)
    return bytes(changed)
