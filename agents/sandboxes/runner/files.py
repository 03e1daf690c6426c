"""read, write and edit, with the limits and texts of the SDK's reference tools."""

from __future__ import annotations

import errno
import os
import stat
import sys
from binascii import b2a_base64

from .texts import SPILL_CHARACTERS, ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TEXT_BYTES = 256 * 1024
IMAGE_BYTES = 5 * 1024 * 1024 // 4 * 3
PDF_BYTES = 20 * 1024 * 1024
CHUNK = 64 * 1024
MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".pdf": "application/pdf",
}
_REASONS = {
    errno.ENOENT: "no such file or directory",
    errno.ENOTDIR: "not a directory",
    errno.EISDIR: "is a directory",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EEXIST: "file already exists",
    errno.ELOOP: "too many levels of symbolic links",
    errno.EROFS: "read-only file system",
    errno.EFBIG: "file too large",
    errno.ENXIO: "not a regular file",
}

Block = dict[str, "Any"]


def reason(error: OSError) -> str:
    """The same words for the same failure everywhere."""
    return _REASONS.get(error.errno or 0) or (error.strerror or "i/o error").lower()


def resolve(root: str, path: str) -> str:
    """A path as the tools see it: relative ones start at the working directory."""
    return os.path.normpath(os.path.join(root, path))


class Files:
    """The three file tools below one working directory; all of them only touch regular files."""

    def __init__(self, root: str) -> None:
        self.root = root

    def read(self, file_path: str, view_range: list[int] | None = None) -> list[Block]:
        try:
            with self._open(file_path, "read") as handle:
                size = os.fstat(handle.fileno()).st_size
                media = MEDIA_TYPES.get(os.path.splitext(file_path)[1].lower())
                if media:
                    return [_media_block(handle, file_path, size, media, view_range)]
                return [{"type": "text", "text": _text(handle, file_path, size, view_range)}]
        except UnicodeDecodeError:
            hint = "binary files are only supported for image/PDF extensions"
            raise ToolError(f"read: {file_path}: not valid UTF-8 text ({hint})") from None
        except OSError as error:
            raise ToolError(f"read: {file_path}: {reason(error)}") from None

    def write(self, file_path: str, content: str) -> str:
        target = resolve(self.root, file_path)
        data = content.encode("utf-8")
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            _replace(target, data)
        except (OSError, _NotRegular) as error:
            raise ToolError(f"write: {file_path}: {_why(error)}") from None
        return "wrote %d bytes to %s" % (len(data), file_path)

    def edit(self, file_path: str, old_string: str, new_string: str, replace_all: bool = False) -> str:
        if not old_string:
            raise ToolError("edit: old_string must not be empty")
        try:
            text = self._whole(file_path)
        except UnicodeDecodeError:
            raise ToolError(f"edit: {file_path}: not valid UTF-8 text (cannot edit binary files)") from None
        except OSError as error:
            raise ToolError(f"edit: {file_path}: {reason(error)}") from None
        count = text.count(old_string)
        if count == 0:
            raise ToolError(f"edit: old_string not found in {file_path}")
        if count > 1 and not replace_all:
            raise ToolError("edit: old_string appears %d times in %s (must be unique)" % (count, file_path))
        changed = text.replace(old_string, new_string, -1 if replace_all else 1)
        try:
            _replace(resolve(self.root, file_path), changed.encode("utf-8"))
        except (OSError, _NotRegular) as error:
            raise ToolError(f"edit: {file_path}: {_why(error)}") from None
        return "edited %s (%d replacement(s))" % (file_path, count if replace_all else 1)

    def _whole(self, file_path: str) -> str:
        with self._open(file_path, "edit") as handle:
            size = os.fstat(handle.fileno()).st_size
            if size > TEXT_BYTES:
                hint = "The edit tool loads the whole file and cannot modify a file this large."
                raise ToolError(_too_big("edit", file_path, size, TEXT_BYTES) + hint)
            return str(handle.read(TEXT_BYTES + 1).decode("utf-8"))

    def _open(self, file_path: str, tool: str) -> Any:
        # Non-blocking, and checked on the open descriptor: a FIFO must not hang the runner.
        fd = os.open(resolve(self.root, file_path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise ToolError(f"{tool}: {file_path}: not a regular file")
        return os.fdopen(fd, "rb")


class _NotRegular(Exception):
    pass


def _why(error: Exception) -> str:
    return reason(error) if isinstance(error, OSError) else "not a regular file"


def _too_big(tool: str, file_path: str, size: int, limit: int) -> str:
    return "%s: %s is %d bytes, exceeds %d-byte limit. " % (tool, file_path, size, limit)


def _replace(target: str, data: bytes) -> None:
    """Overwrite in place, so that links, owner and mode stay; never blocks on a FIFO."""
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    with os.fdopen(fd, "wb", buffering=0) as handle:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise _NotRegular
        handle.truncate(0)
        view = memoryview(data)
        while view:
            view = view[handle.write(view) :]


def _media_block(handle: Any, file_path: str, size: int, media: str, view_range: list[int] | None) -> Block:
    if view_range:
        raise ToolError("read: view_range is not supported for image/PDF files")
    pdf = media == "application/pdf"
    limit = PDF_BYTES if pdf else IMAGE_BYTES
    data = handle.read(limit + 1)
    if max(size, len(data)) > limit:
        raise ToolError(_too_big("read", file_path, size, limit)[:-2] + " for image/PDF files.")
    source = {"type": "base64", "media_type": media, "data": b2a_base64(data, newline=False).decode("ascii")}
    return {"type": "document" if pdf else "image", "source": source}


def _text(handle: Any, file_path: str, size: int, view_range: list[int] | None) -> str:
    if size > TEXT_BYTES and not view_range:
        hint = "Use the view_range parameter to read specific line ranges, e.g. view_range: [1, 500]."
        raise ToolError(_too_big("read", file_path, size, TEXT_BYTES) + hint)
    if size > TEXT_BYTES and view_range:
        text = _lines_of_large(handle, file_path, view_range)
    else:
        text = handle.read(TEXT_BYTES + 1).decode("utf-8")
        if view_range:
            start, end = view_range
            lines = text.split("\n")
            text = "\n".join(lines[max(0, start - 1) : end if end > 0 else len(lines)])
    return _preview(text, file_path)


def _preview(text: str, file_path: str) -> str:
    """The spill rule for read: the file itself is the place where the whole text is."""
    if len(text) <= SPILL_CHARACTERS:
        return text
    note = "[%d characters in all; the whole text is in %s, use view_range to read on; its first %d are above]"
    head = text[:SPILL_CHARACTERS]
    return head + "\n[output truncated]\n" + note % (len(text), file_path, SPILL_CHARACTERS)


def _lines_of_large(handle: Any, file_path: str, view_range: list[int]) -> str:
    """Stream lines ``[start, end]``; only the chosen ones count against the limit."""
    first = max(0, view_range[0] - 1)
    last = view_range[1] if view_range[1] > 0 else sys.maxsize
    kept, number = bytearray(), 0
    while number < last:
        piece = handle.readline(CHUNK)
        if not piece:
            break
        if number >= first:
            kept += piece
            if len(kept) > TEXT_BYTES + 1:
                raise ToolError(_range_too_big(file_path, view_range, first, last))
        number += piece.endswith(b"\n")
    if number >= last and kept.endswith(b"\n"):
        del kept[-1:]
    return kept.decode("utf-8")


def _range_too_big(file_path: str, view_range: list[int], first: int, last: int) -> str:
    if last - first == 1:
        return (
            "read: line %d of %s alone exceeds %d-byte limit. The read tool cannot return part of a line, "
            "so view_range cannot narrow this further." % (first + 1, file_path, TEXT_BYTES)
        )
    return "read: view_range [%d, %d] of %s exceeds %d-byte limit. Narrow the view_range to read a smaller portion." % (
        view_range[0],
        view_range[1],
        file_path,
        TEXT_BYTES,
    )
