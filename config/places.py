"""Where an installation keeps its files and sockets, and the secrets it generates for itself."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from config.readers import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable

# A unix socket's path holds at most 107 bytes on Linux (103 on macOS); PostgreSQL adds its own file name.
SOCKET_PATH_LIMIT = 100
LONGEST_SOCKET_NAME = "/.s.PGSQL.5432"
VALKEY_SOCKET = "valkey.sock"
DATABASE = DATABASE_USER = "holdfast"  # of the embedded database


def data_dir(value: str, root: Path) -> Path:
    """The absolute data directory, created and found writable."""
    path = Path(value).expanduser()
    path = path if path.is_absolute() else root / path
    way_out = "set DATA_DIR to a directory this user may write"
    try:
        path.mkdir(parents=True, exist_ok=True)
        path = path.resolve()
    except OSError as error:
        raise SettingError(f"The data directory {path} cannot be made ({error.strerror}); {way_out}.") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise SettingError(f"The data directory {path} is not writable; {way_out}.")
    return path


def runtime_dir(data: Path) -> Path:
    """A 0700 directory for sockets: `run` in the data directory, or a short one of ours when that path is too long."""
    inside = data / "run"
    if len(os.fsencode(inside)) + len(LONGEST_SOCKET_NAME) <= SOCKET_PATH_LIMIT:
        inside.mkdir(mode=0o700, exist_ok=True)
        return inside
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"holdfast-{os.getuid()}-{digest}"
    if len(os.fsencode(short)) + len(LONGEST_SOCKET_NAME) > SOCKET_PATH_LIMIT:
        short = Path("/tmp") / short.name  # noqa: S108 - owner and mode are checked below
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise SettingError(
            f"{short} belongs to someone else or is open to others; remove it, or set DATA_DIR to a shorter path."
        )
    return short


def database_url(sockets: Path) -> str:
    """The embedded database's address."""
    return f"postgresql://{DATABASE_USER}@/{DATABASE}?host={quote(str(sockets))}"


def redis_url(sockets: Path) -> str:
    """The embedded Valkey's address."""
    return f"unix://{sockets / VALKEY_SOCKET}?db=0"


def generated(path: Path, make: Callable[[], str]) -> str:
    """The text of a 0600 file, made once. Two processes that start together agree on whichever came first."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        pass
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(make() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # the other process's value is the one to use
    finally:
        draft.unlink()
    return path.read_text(encoding="utf-8").strip()
