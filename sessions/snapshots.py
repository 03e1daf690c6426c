"""Workspaces kept between turns, as blobs: plain ones named by their digest, sealed ones by a keyed hash of their text.

The keyed hash makes an unchanged workspace the blob it was, though each sealing differs, and tells nothing without
the key. Reading never asks the setting (``SEAL_SNAPSHOTS``): both kinds lie side by side.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from django.conf import settings

from contract import blobs
from credentials import crypto, sealed_streams
from sessions import events as ev
from sessions.models import Event
from sessions.outputs import Chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_BYTES = 10 * 1024**3
EARLIER = 20  # snapshots that are looked at, in place of one that is damaged


def put(pieces: Iterable[bytes]) -> tuple[str, int]:
    """Keep a workspace; returns the blob's name and its size on disk. Raises ``TooLarge``."""
    if not settings.HOLDFAST_SEAL_SNAPSHOTS:
        return blobs.put(Chunks(iter(pieces)), MAX_BYTES)
    identity = sealed_streams.Identity()
    return blobs.put(Chunks(sealed_streams.seal(identity.watch(pieces))), MAX_BYTES * 2, identity.name)


@contextmanager
def open_plain(name: str) -> Iterator[BinaryIO]:
    """A kept workspace as it was. Reading raises ``crypto.CannotOpen`` where it was changed or its key is gone."""
    with blobs.open(name) as kept, sealed_streams.unsealed(kept) as plain:
        yield plain


def is_sound(name: str) -> bool:
    """True if it is there and whole; reads all of it. Raises ``crypto.KeyMissing``: it is whole, for all we know."""
    try:
        with blobs.open(name) as stream:
            if sealed_streams.key_of(stream) == "":
                return blobs.is_sound(name)
            with sealed_streams.unsealed(stream) as plain:
                while plain.read(sealed_streams.PIECE):
                    continue
    except crypto.KeyMissing:
        raise
    except (OSError, crypto.CannotOpen):
        return False
    return True


def earlier(session_id: str, than: str) -> tuple[str, int] | None:
    """The newest whole snapshot of a session but ``than``, which is not whole: its name, and its number on the log.

    Raises ``crypto.KeyMissing``.
    """
    noted = Event.objects.filter(session_id=session_id, type=ev.OPS_SNAPSHOT).exclude(payload__digest=than)
    seen: set[str] = set()
    for name, seq in noted.order_by("-seq").values_list("payload__digest", "seq")[:EARLIER]:
        if name not in seen and is_sound(name):
            return name, seq
        seen.add(name)
    return None


def reseal(name: str) -> bool:
    """Bring a kept workspace into the form that the settings ask for, under its name; False if it lies so already.

    A name keeps what it stood for, and readers keep what they opened. Raises ``OSError``, ``CannotOpen``.
    """
    with blobs.open(name) as stream:
        wanted = crypto.current_key() if settings.HOLDFAST_SEAL_SNAPSHOTS else ""
        if sealed_streams.key_of(stream) == wanted:
            return False
        with sealed_streams.unsealed(stream) as plain:
            pieces = iter(lambda: plain.read(sealed_streams.PIECE), b"")
            form: Iterator[bytes] = sealed_streams.seal(pieces) if wanted else pieces
            blobs.put(Chunks(form), MAX_BYTES * 2, lambda: name)
    return True
