"""The certificates that a sandbox with a network trusts: those its way out trusts too, and the session's authority.

One rule for both: the bundle that ``SSL_CERT_FILE`` names, else the machine's own. OpenSSL reads the same variable for
the egress proxy, which speaks to a host where a secret goes in; to others the sandbox's programs do.
"""

from __future__ import annotations

import functools
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Where distributions keep their bundle.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def bundle(certificate: str) -> bytes:
    """The trusted bundle with one certificate more, in PEM."""
    return b"%b\n%b\n" % (_own(), certificate.strip().encode())


def _own() -> bytes:
    """The bundle that this machine trusts, as it is now."""
    for path in (ssl.get_default_verify_paths().cafile, *_BUNDLES):
        if path and Path(path).is_file():
            status = Path(path).stat()
            return _read(path, (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size))
    return b""


@functools.lru_cache(maxsize=1)
def _read(path: str, seen: tuple[int, ...]) -> bytes:
    """``seen``: what tells of a change; most openings find none in a quarter of a megabyte."""
    return Path(path).read_bytes().rstrip()


def system_bundles(below: Sequence[str]) -> list[str]:
    """The bundles that stand below the given directories, as files of their own."""
    found = [Path(path) for path in _BUNDLES]
    return [str(p) for p in found if p.is_file() and not p.is_symlink() and any(str(p.parent) == top for top in below)]
