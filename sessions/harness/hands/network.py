"""A session's way out of its sandbox: what it may reach and use is told to the machine's egress proxy, and what it did
is taken over from there (spec core 7.2, advanced 2).

The proxy knows no database. It is told a session's rules when its sandbox is opened, is lent the secrets for a minute
at a time, and hands its records to whoever works for the session.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings

from credentials import lending, scopes
from credentials.crypto import CannotOpen
from credentials.egress import client
from credentials.egress.board import may_have_records
from credentials.egress.client import EgressUnavailable, Grant
from credentials.egress.rules import Networking, Place
from credentials.lending import Borrower, Use, Variable
from sessions import events as ev
from sessions.events import Draft
from sessions.harness.hands import checkouts
from sessions.models import Event, Session
from sessions.projections.faults import session_error
from sessions.repositories import git_variables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sessions.repositories import Repository

RENEW_SECONDS = 20.0
LOOK_SECONDS = 1.0
TOLD_DENIALS = 10


@dataclass(frozen=True, slots=True)
class Connection:
    """What a sandbox with a network is opened with: the certificate to trust, and variables without a secret."""

    trust: str
    environment: Mapping[str, str]


@dataclass(slots=True)
class _Known:
    """What was last told to the proxy."""

    variables: dict[str, Variable] = field(default_factory=dict)  # by credential
    repositories: dict[str, Repository] = field(default_factory=dict)  # those with a token
    problems: list[str] = field(default_factory=list)
    at: float = 0.0


class Network:
    """One worker's side of a session's network. ``collect`` may run in any thread, the others on the turn's own."""

    def __init__(self, session_id: str, by: str) -> None:
        self._session_id, self._by = session_id, by
        self._taker = uuid.uuid4().hex
        self._known = _Known()
        self._lock = threading.Lock()
        self._pending: list[Mapping[str, Any]] = []
        self._seen: set[str] = set()
        self._stored: list[str] = []
        self._omitted = 0
        self._forgotten = False
        self._looked_at = time.monotonic()

    @staticmethod
    def path() -> Path | None:
        """The proxy's socket; None where the operator gave sandboxes no network."""
        path: Path | None = settings.HOLDFAST_EGRESS_SOCKET
        return path

    # Telling

    def tell(self, session: Session) -> Connection:
        """Tell rules and secrets as they are now. Raises ``EgressUnavailable``."""
        variables, problems = lending.variables(borrower(session))
        repositories = checkouts.of_session(session.pk)
        grants = [_grant(variable) for variable in variables]
        tokens: dict[str, Repository] = {}
        for repository, row in repositories:
            try:
                grants += checkouts.grants(repository, row)
            except CannotOpen as error:
                problems.append(f"The token of {repository.url} can't be used: {error}")
            tokens |= {repository.id: repository} if row.sealed else {}
        rules = replace(networking(session), places=tuple(Place(one.host, one.paths) for one, _ in repositories))
        told = client.register(self._path, self._session_id, rules, grants)
        known = {variable.credential.pk: variable for variable in variables}
        self._known = _Known(known, tokens, problems, time.monotonic())
        self._forgotten = False
        held = dict(told.placeholders)
        signed = [(one, place) for one in tokens.values() if (place := held.pop(checkouts.grant_name(one), None))]
        return Connection(told.trust, {**told.variables, **git_variables(signed), **held})

    @property
    def _path(self) -> Path:
        path = self.path()
        assert path is not None
        return path

    def problems(self, session: Session, *, first: bool) -> list[Draft]:
        """``session.error`` events for credentials that can't serve this session; the session goes on.

        Secrets that can't be read are told of each time, hosts that the environment shuts out only the ``first``.
        """
        drafts = [_error("unknown_error", problem) for problem in self._known.problems]
        rules = networking(session)
        if rules.kind == "unrestricted" or not first:
            return drafts
        open_hosts = (*rules.allowed_hosts, *rules.mcp_hosts, *self._package_hosts(rules))
        for variable in self._known.variables.values():
            shut = [host for host in variable.hosts or () if not any(scopes.matches(o, host) for o in open_hosts)]
            if shut:
                text = f"The environment does not permit {', '.join(shut)}, to which {variable.name} would be sent."
                ids = {"vault_id": variable.credential.vault_id, "credential_id": variable.credential.pk}
                drafts.append(_error("credential_host_unreachable_error", text, **ids))
        return drafts

    def _package_hosts(self, rules: Networking) -> Sequence[str]:
        if not rules.package_managers:
            return ()
        hosts: list[str] = client.probe(self._path)["package_hosts"]
        return hosts

    # Taking over

    def tend(self) -> list[Draft]:
        """Now and then while calls run: lend the secrets anew, and give what is to be put on the log."""
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return []
        self._looked_at = time.monotonic()
        try:
            self.collect()
            if self._forgotten or self._is_long_ago:
                self._tell_anew()
        except EgressUnavailable:
            return []
        return self.drafts()

    def renew(self) -> None:
        """Before calls, which may be over before ``tend`` looks: tell what the proxy forgot, lend what it is to give
        back soon.
        """
        lends = self._known.variables or self._known.repositories
        with contextlib.suppress(EgressUnavailable):  # it is away; the next look tries again
            if self._forgotten or (lends and self._is_long_ago):
                self._tell_anew()

    @property
    def _is_long_ago(self) -> bool:
        return time.monotonic() - self._known.at > RENEW_SECONDS

    def _tell_anew(self) -> None:
        self.tell(Session.objects.select_related("environment").get(pk=self._session_id))

    def collect_after_call(self) -> list[str]:
        """``collect``, unless the proxy is known to keep nothing of the session: most calls use no network."""
        return self.collect() if may_have_records(self._path, self._session_id) else []

    def collect(self, *, before: float | None = None) -> list[str]:
        """Fetch new records; a sentence for each host that was refused. Raises ``EgressUnavailable``.

        With ``before`` (Unix time) those that began earlier, finished or not, and no others.
        """
        with self._lock:
            report = client.report(self._path, self._session_id, self._taker, self._stored, unfinished_before=before)
            self._stored = []
            self._forgotten = self._forgotten or not report.known
            self._omitted += report.omitted
            fresh = [record for record in report.records if record["id"] not in self._seen]
            self._seen.update(record["id"] for record in fresh)
            self._pending += fresh
        denied = {f"{one['host']}:{one['port']} ({one['rule']})": None for one in fresh if one["decision"] == "denied"}
        return list(denied)

    def collect_errand(self, name: str) -> None:
        """Take over all that another sandbox, named ``name``, did for this session, and forget that one."""
        report = client.report(self._path, name, self._taker, unfinished_before=time.time())
        client.forget(self._path, name)
        with self._lock:
            self._pending += report.records
            self._omitted += report.omitted

    def drafts(self, tool: str = "bash") -> list[Draft]:
        """Events for what was collected, to be committed by the caller; uses of secrets go on record here."""
        with self._lock:
            records, self._pending = self._pending, []
            omitted, self._omitted = self._omitted, 0
            self._stored += [record["id"] for record in records]
        if not records and not omitted:
            return []
        again = [record["id"] for record in records if record["again"]]
        there = set(Event.objects.filter(pk__in=again).values_list("pk", flat=True)) if again else set()
        fresh = [record for record in records if record["id"] not in there]
        self._note_uses(fresh, tool)
        drafts = [Draft(ev.OPS_NETWORK_REQUEST, _payload(record), id=record["id"]) for record in fresh]
        if omitted:
            drafts.append(Draft(ev.OPS_NETWORK_OMITTED, {"count": omitted}))
        return drafts

    def acknowledge(self) -> None:
        """After the last commit: what was stored need not be kept. Raises ``EgressUnavailable``."""
        with self._lock:
            client.report(self._path, self._session_id, self._taker, self._stored)
            self._stored = []

    def _note_uses(self, records: Sequence[Mapping[str, Any]], tool: str) -> None:
        used = [(record, one) for record in records for one in record["credentials"]]
        if not used:
            return
        session = Session.objects.only("id", "workspace_id", "vault_ids", "agent_id").get(pk=self._session_id)
        lending.note_uses(borrower(session), self._by, [self._use(record, one, tool) for record, one in used])

    def _use(self, record: Mapping[str, Any], credential_id: str, tool: str) -> Use:
        use = Use("", credential_id, "egress", record["host"], tool, record["method"], event_id=record["id"])
        variable = self._known.variables.get(credential_id)
        if variable is not None:
            credential = variable.credential
            return replace(use, vault_id=credential.vault_id, rule=scopes.described(credential.scope))
        repository = self._known.repositories.get(credential_id)
        return replace(use, purpose="repository", rule=f"repository {repository.url}" if repository else "")


def borrower(session: Session) -> Borrower:
    """For whom a session's credentials are looked up."""
    return Borrower(session.workspace_id, session.vault_ids, session.agent_id, session.pk)


def networking(session: Session) -> Networking:
    """What a session may reach, by the environment as it was when the sandbox was first made."""
    config = session.sandbox_config or session.environment.config
    asked = config["networking"]
    if asked["type"] == "unrestricted":
        return Networking("unrestricted")
    servers = session.agent_snapshot.get("mcp_servers") or () if asked["allow_mcp_servers"] else ()
    hosts = [host for server in servers if (host := urlsplit(server["url"]).hostname)]
    return Networking(
        kind="limited",
        allowed_hosts=tuple(asked["allowed_hosts"]),
        mcp_hosts=tuple(hosts),
        package_managers=asked["allow_package_managers"],
    )


def denials(refused: Sequence[str]) -> list[dict[str, Any]]:
    """What a tool's result says of refused requests: programs often hide the answer that names the rule."""
    if not refused:
        return []
    more = f"\n… and {len(refused) - TOLD_DENIALS} more" if len(refused) > TOLD_DENIALS else ""
    text = "The sandbox's network refused:\n" + "\n".join(refused[:TOLD_DENIALS]) + more
    return [{"type": "text", "text": text}]


def _grant(variable: Variable) -> Grant:
    return Grant(
        id=variable.credential.pk,
        name=variable.name,
        secret=variable.secret,
        hosts=variable.hosts,
        header=variable.header,
        body=variable.body,
        methods=variable.methods,
    )


def _payload(record: Mapping[str, Any]) -> dict[str, Any]:
    fields = ("host", "port", "method", "decision", "rule", "status", "bytes_sent", "bytes_received", "over")
    names = zip(record["credentials"], record["credential_names"], strict=True)
    used = [{"id": credential_id, "name": name} for credential_id, name in names]
    return {**{name: record[name] for name in fields}, "credentials": used}


def _error(kind: str, message: str, **about: str) -> Draft:
    return Draft(ev.SESSION_ERROR, {"error": {**session_error(kind, message, "retrying"), **about}})
