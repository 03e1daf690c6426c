"""What the proxy knows of the sessions of this machine. Kept in memory only."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from contract.secret import Secret
from credentials.egress import placeholders, rules
from credentials.egress.records import Records
from credentials.egress.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_SESSIONS = 10_000
MAX_CREDENTIALS = 200
UNUSED_SECONDS = 900.0
LOAN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Held:
    """One credential in a session. ``hosts`` None: every host the environment permits; others alike."""

    id: str
    name: str
    secret: Secret
    placeholder: bytes
    hosts: tuple[str, ...] | None
    header: bool
    body: bool
    methods: tuple[str, ...] | None = None
    paths: tuple[str, ...] | None = None

    def serves(self, host: str) -> bool:
        return self.hosts is None or rules.first_match(self.hosts, host) is not None

    def fits(self, method: str, target: str) -> bool:
        """Whether its secret may go out with such a request to one of its hosts."""
        if self.methods is not None and method not in self.methods:
            return False
        return self.paths is None or rules.within(target, self.paths)

    @property
    def value(self) -> bytes:
        return self.secret.reveal().encode()


@dataclass(slots=True)
class Session:
    """A session's rules and credentials. ``networking`` None: not told yet, nothing may pass.

    Secrets are lent, not given: what no worker speaks of for ``LOAN_SECONDS`` is forgotten, so that a credential that
    was archived meanwhile stops working. ``lengths`` outlive them: running programs hold the placeholders.
    """

    id: str
    authority: Authority
    records: Records
    networking: rules.Networking | None = None
    credentials: tuple[Held, ...] = ()
    lent_until: float = 0.0
    lengths: dict[str, int] = field(default_factory=dict)
    connections: int = 0
    attached: int = 0
    used_at: float = field(default_factory=time.monotonic)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def holding(self, host: str) -> list[Held]:
        """The credentials for a host. If there are any, connections to it are opened."""
        self.return_overdue()
        return [held for held in self.credentials if held.serves(host)]

    def return_overdue(self) -> None:
        if time.monotonic() > self.lent_until:
            self.credentials = ()


class Sessions:
    """All sessions by id. ``changed`` is told of whom how many records came, or went (negative)."""

    def __init__(self, key: bytes, changed: Callable[[str, int], None]) -> None:
        self._key, self._changed = key, changed
        self._all: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._all)

    def find(self, session_id: str) -> Session | None:
        return self._all.get(session_id)

    def get(self, session_id: str) -> Session:
        """The session, made known if it is new. Raises ``ValueError`` at the limit."""
        session = self._all.get(session_id)
        if session is None:
            if len(self._all) >= MAX_SESSIONS:
                self.forget_unused()
            if len(self._all) >= MAX_SESSIONS:
                raise ValueError(f"there are {MAX_SESSIONS} sessions already")
            records = Records(partial(self._changed, session_id))
            session = Session(session_id, Authority(self._key, session_id), records=records)
            self._all[session_id] = session
        session.used_at = time.monotonic()
        return session

    def register(self, session_id: str, told: Mapping[str, Any]) -> Session:
        """Take over what a worker tells of a session: ``networking`` and ``credentials``."""
        networking, given = told["networking"], told["credentials"]
        if len(given) > MAX_CREDENTIALS:
            raise ValueError(f"a session has at most {MAX_CREDENTIALS} credentials")
        session = self.get(session_id)
        if networking["kind"] not in ("limited", "unrestricted"):
            raise ValueError("networking")
        session.networking = rules.Networking(
            kind=networking["kind"],
            allowed_hosts=tuple(networking["allowed_hosts"]),
            mcp_hosts=tuple(networking["mcp_hosts"]),
            package_managers=bool(networking["package_managers"]),
            places=tuple(rules.Place(place["host"], tuple(place["paths"])) for place in networking["places"]),
        )
        session.credentials = tuple(self._held(session, entry) for entry in given)
        session.lent_until = time.monotonic() + LOAN_SECONDS
        session.told.set()
        return session

    def forget(self, session_id: str) -> None:
        """Forget a session, end what it has under way."""
        session = self._all.pop(session_id, None)
        if session is None:
            return
        for task in list(session.tasks):
            task.cancel()
        session.records.clear()

    def forget_unused(self) -> None:
        """Forget sessions without a sandbox that no worker has spoken of for a while, and with them their secrets."""
        before = time.monotonic() - UNUSED_SECONDS
        for session in [s for s in self._all.values() if not s.attached and s.used_at < before]:
            self.forget(session.id)
        for session in self._all.values():
            session.return_overdue()

    def _held(self, session: Session, told: Mapping[str, Any]) -> Held:
        """A placeholder keeps its length when its secret is replaced: running programs hold it already."""
        secret = Secret(told["secret"])
        wanted = session.lengths.setdefault(told["id"], len(secret.reveal().encode()))
        return Held(
            id=told["id"],
            name=told["name"],
            secret=secret,
            placeholder=placeholders.derive(self._key, session.id, told["id"], wanted),
            hosts=_tuple(told["hosts"]),
            header=bool(told["header"]),
            body=bool(told["body"]),
            methods=_tuple(told["methods"]),
            paths=_tuple(told["paths"]),
        )


def _tuple(told: list[str] | None) -> tuple[str, ...] | None:
    return None if told is None else tuple(told)
