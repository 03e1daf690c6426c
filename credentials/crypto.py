"""Sealing secrets: AES-256-GCM under a ring of named keys.

The first key of ``settings.HOLDFAST_KEYS`` seals, every key of the ring opens. A sealed value names
its key and is bound to the id of the row that holds it, so that it can't be moved to another row.
"""

from __future__ import annotations

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from contract.errors import ApiError
from contract.secret import Secret

FORMAT = b"\x01"
NONCE_BYTES = 12
MAX_NAME_BYTES = 255


class CannotOpen(ApiError):
    """A sealed value can't be opened: its key is not on the ring, or it isn't what was sealed. For readers, a 500."""


class KeyMissing(CannotOpen):
    """What sealed the value is not on the ring; with the key back it can be read."""


def seal(secret: Secret, owner: str) -> bytes:
    """Seal ``secret`` for the row whose id is ``owner``."""
    return seal_bytes(secret.reveal().encode(), owner)


def seal_bytes(plain: bytes, owner: str) -> bytes:
    """``seal`` for what is no text."""
    name, key = next(iter(_ring().items()))
    label = name.encode()
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, plain, owner.encode())
    return FORMAT + bytes([len(label)]) + label + nonce + sealed


def unseal(sealed: bytes, owner: str) -> Secret:
    """Open what ``seal`` made for ``owner``. Raises ``CannotOpen`` with a sentence for the operator."""
    return Secret(unseal_bytes(sealed, owner).decode())


def unseal_bytes(sealed: bytes, owner: str) -> bytes:
    """``unseal`` for what is no text."""
    name, body = _split(bytes(sealed))
    key = key_bytes(name)
    try:
        return AESGCM(key).decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], owner.encode())
    except InvalidTag as error:
        raise CannotOpen(f"A value sealed with the key {name!r} was changed or moved.") from error


def current_key() -> str:
    """The name of the key that seals."""
    return next(iter(_ring()))


def key_bytes(name: str) -> bytes:
    """A key of the ring. Raises ``KeyMissing``."""
    key = _ring().get(name)
    if key is None:
        raise KeyMissing(f"The key {name!r} is not in HOLDFAST_KEYS; add it back to read what it sealed.")
    return key


def key_name(sealed: bytes) -> str:
    """The name of the key that sealed a value."""
    return _split(bytes(sealed))[0]


def _split(sealed: bytes) -> tuple[str, bytes]:
    if len(sealed) < 2 or sealed[:1] != FORMAT:
        raise CannotOpen("A sealed value has a format that this version does not know.")
    end = 2 + sealed[1]
    return sealed[2:end].decode(errors="replace"), sealed[end:]


def _ring() -> dict[str, bytes]:
    return {name: base64.b64decode(key.reveal()) for name, key in settings.HOLDFAST_KEYS}
