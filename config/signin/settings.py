"""The settings of signing in: the OpenID Connect provider, its groups, and whether everyone needs a second factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from config.readers import Reader, SettingError
from contract.roles import Role

if TYPE_CHECKING:
    from contract.secret import Secret

NEEDED = ("OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_GROUPS")
OPTIONAL = ("OIDC_NAME", "OIDC_SCOPES", "OIDC_GROUPS_CLAIM", "OIDC_SESSION_HOURS")
ROLES = ", ".join(role.value for role in Role)


@dataclass(frozen=True, slots=True)
class Grant:
    """Whoever is in ``group`` at the provider has ``role`` in ``workspace`` (its name or id)."""

    group: str
    workspace: str
    role: Role


@dataclass(frozen=True, kw_only=True)
class Provider:
    """An OpenID Connect provider that people sign in at."""

    issuer: str
    client_id: str
    client_secret: Secret
    name: str  # what the button says
    scopes: tuple[str, ...]
    groups_claim: str
    grants: tuple[Grant, ...]
    session_hours: int  # then a person of the provider signs in anew, and their groups are weighed anew


@dataclass(frozen=True, kw_only=True)
class SigningIn:
    """How people get in. Without ``provider`` there is no single sign-on."""

    provider: Provider | None
    second_factor: bool  # everyone needs one

    @property
    def at(self) -> Provider:
        """The provider, where there must be one."""
        if self.provider is None:
            raise LookupError("There is no single sign-on here.")
        return self.provider


def read(reader: Reader) -> SigningIn:
    """Raises ``SettingError`` for half a configuration."""
    return SigningIn(provider=_provider(reader), second_factor=reader.flag("REQUIRE_SECOND_FACTOR"))


def _provider(reader: Reader) -> Provider | None:
    missing = [name for name in NEEDED if not reader.text(name)]
    if missing == list(NEEDED):
        for name in OPTIONAL:
            if reader.text(name):
                raise SettingError(f"{name} is set, but OIDC_ISSUER is not; set it too, or leave both out.")
        return None
    if missing:
        given = next(name for name in NEEDED if name not in missing)
        raise SettingError(
            f"{given} is set, but {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not; "
            "single sign-on needs all of them."
        )
    return Provider(
        issuer=_issuer(reader),
        client_id=reader.text("OIDC_CLIENT_ID"),
        client_secret=reader.secret("OIDC_CLIENT_SECRET"),
        name=reader.text("OIDC_NAME", "single sign-on"),
        scopes=_scopes(reader),
        groups_claim=reader.text("OIDC_GROUPS_CLAIM", "groups"),
        grants=_grants(reader.text("OIDC_GROUPS")),
        session_hours=reader.integer("OIDC_SESSION_HOURS", 12, low=1, high=336),
    )


def _issuer(reader: Reader) -> str:
    issuer = reader.url("OIDC_ISSUER", "", ("https", "http")).rstrip("/")
    host = urlsplit(issuer).hostname or ""
    if issuer.startswith("http://") and host not in {"127.0.0.1", "::1", "localhost"}:
        raise SettingError("OIDC_ISSUER is plain http; only a provider on this machine may be, so write https://.")
    return issuer


def _scopes(reader: Reader) -> tuple[str, ...]:
    scopes = reader.names("OIDC_SCOPES", ("openid", "profile", "email"))
    return scopes if "openid" in scopes else ("openid", *scopes)


def _grants(text: str) -> tuple[Grant, ...]:
    """``group=workspace:role`` entries, separated by semicolons or lines; a group's name may hold ``=`` and ``:``."""
    entries = [entry.strip() for entry in text.replace("\n", ";").split(";")]
    return tuple(_grant(entry) for entry in entries if entry)


def _grant(entry: str) -> Grant:
    group, _, target = entry.rpartition("=")
    workspace, _, role = target.rpartition(":")
    if not group.strip() or not workspace.strip() or role.strip() not in set(Role):
        raise SettingError(
            f"OIDC_GROUPS has the entry {entry!r}; write group=workspace:role, the role one of {ROLES}, "
            "and separate entries by semicolons."
        )
    return Grant(group.strip(), workspace.strip(), Role(role.strip()))
