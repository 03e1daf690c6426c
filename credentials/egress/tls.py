"""A certificate authority for every session, and the certificates it shows to that session's sandbox.

The authority's key is derived from the machine's own, so that a proxy that was started again is the one a running
sandbox already trusts. Its private key never leaves this process, and no private key is ever on disk but the
machine's own.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from credentials.egress.rules import is_address

if TYPE_CHECKING:
    from pathlib import Path

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of the group of P-256
KEY_BYTES = 32
BACKDATED = timedelta(days=1)  # for clocks that run late
AUTHORITY_LIFE = timedelta(days=400)
LEAF_LIFE = timedelta(days=7)
LEAVES = 256
ALPN = ["http/1.1"]


def machine_key(path: Path) -> bytes:
    """The machine's own key, made at the first start (mode 0600)."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise OSError(f"{path} is not a key of {KEY_BYTES} bytes; remove it and start again.") from None
        return key
    with os.fdopen(descriptor, "wb") as file:
        file.write(key := os.urandom(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    return key


class Authority:
    """The certificate authority that one session's sandbox trusts, and nobody else."""

    def __init__(self, key: bytes, session_id: str) -> None:
        self._key = ec.derive_private_key(_scalar(key, session_id), ec.SECP256R1())
        self._name = _name(f"Holdfast egress for {session_id}"[:64])
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._contexts: dict[str, tuple[datetime, ssl.SSLContext]] = {}
        self.certificate = _text(self._self_signed())

    def context(self, host: str) -> ssl.SSLContext:
        """A server's context that speaks for ``host``."""
        now = datetime.now(UTC)
        made, context = self._contexts.get(host, (None, None))
        if made is None or context is None or now - made > LEAF_LIFE / 2:
            context = self._new_context(host)
            if len(self._contexts) >= LEAVES:
                self._contexts.pop(next(iter(self._contexts)))
            self._contexts[host] = (now, context)
        return context

    def _new_context(self, host: str) -> ssl.SSLContext:
        private = self._leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(ALPN)
        # OpenSSL reads files only: this one is memory that no other process can name.
        descriptor = os.memfd_create("certificate")
        try:
            os.write(descriptor, private + _text(self._leaf(host)).encode())
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return context

    def _self_signed(self) -> x509.Certificate:
        usage = _usage(key_cert_sign=True, crl_sign=True)
        return (
            self._builder(self._name, self._key.public_key(), AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _leaf(self, host: str) -> x509.Certificate:
        subject = x509.IPAddress(ip_address(host)) if is_address(host) else x509.DNSName(host)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            self._builder(_name(host[:64]), self._leaf_key.public_key(), LEAF_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([subject]), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + life)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


def _scalar(key: bytes, session_id: str) -> int:
    digest = hmac.digest(key, f"authority\0{session_id}".encode(), hashlib.sha512)
    return int.from_bytes(digest) % (ORDER - 1) + 1


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, text)])


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
