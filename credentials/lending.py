"""Credentials at work in a session: which of its vaults' credentials serves, and the record that one did.

The only place where secrets leave the vault: for the egress proxy (variables) and for MCP connections (servers).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from credentials import crypto, matching, scopes, vaults
from credentials.models import AccessRecord, Credential

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from contract.secret import Secret


@dataclass(frozen=True, slots=True)
class Borrower:
    """For whom credentials are looked up: a session of ``workspace_id`` that runs ``agent_id`` with ``vault_ids``."""

    workspace_id: str
    vault_ids: Sequence[str]
    agent_id: str
    session_id: str


@dataclass(frozen=True, slots=True)
class Variable:
    """An ``environment_variable`` credential. ``hosts`` and ``methods`` None: any."""

    credential: Credential
    secret: Secret
    hosts: tuple[str, ...] | None
    methods: tuple[str, ...] | None

    @property
    def name(self) -> str:
        return str(self.credential.auth["secret_name"])

    @property
    def header(self) -> bool:
        return bool(self.credential.auth["injection_location"]["header"])

    @property
    def body(self) -> bool:
        return bool(self.credential.auth["injection_location"]["body"])


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a secret, to be recorded. ``event_id`` makes recording it twice do nothing."""

    vault_id: str
    credential_id: str
    purpose: str
    host: str
    tool: str = ""
    method: str = ""
    rule: str = ""
    event_id: str = ""


def variables(borrower: Borrower, tool: str = "bash") -> tuple[list[Variable], list[str]]:
    """The variables a session's sandbox has, and a sentence for each whose secret can't be read.

    Of two with the same name the one in the vault named first counts (spec advanced 1.6). Only ``tool`` runs programs
    in the sandbox: a credential whose scope leaves it out is not there.
    """
    found: dict[str, Variable] = {}
    problems: list[str] = []
    for row in _named(borrower, tool, _active(borrower)):
        auth = row.auth
        if auth["secret_name"] in found:
            continue
        try:
            secret = vaults.secrets_of(row)["secret_value"]
        except crypto.CannotOpen as error:
            problems.append(f"The credential {row.pk} ({auth['secret_name']}) can't be used: {error}")
            continue
        listed = auth["networking"].get("allowed_hosts")
        hosts = scopes.narrowed(listed, row.scope.get("hosts"))
        methods = tuple(row.scope["methods"]) if "methods" in row.scope else None
        found[auth["secret_name"]] = Variable(row, secret, hosts, methods)
    return list(found.values()), problems


def held(borrower: Borrower, tool: str, rows: Iterable[Credential]) -> dict[str, Credential]:
    """Of credentials that ``of_vaults`` gave, those whose variables the session's sandbox has, by their names."""
    found: dict[str, Credential] = {}
    for row in _named(borrower, tool, _in_order(borrower, rows)):
        found.setdefault(row.auth["secret_name"], row)
    return found


def _named(borrower: Borrower, tool: str, rows: Iterable[Credential]) -> list[Credential]:
    return [
        row
        for row in rows
        if row.auth["type"] == "environment_variable"
        and scopes.excluded(row.scope, agent=borrower.agent_id, tool=tool) is None
    ]


def for_server(
    borrower: Borrower, url: str, tool: str | None = None, rows: Iterable[Credential] | None = None
) -> Credential | None:
    """The credential for the MCP server at ``url``: of the first vault that has one whose scope permits it.

    ``rows``: what ``of_vaults`` gave, to be chosen from instead of asking again. Raises ``matching.BadUrl``.
    """
    slot, host = matching.server_slot(url), urlsplit(url).hostname or ""
    for row in _active(borrower, slot) if rows is None else _in_order(borrower, rows):
        if row.slot != slot:
            continue
        if scopes.excluded(row.scope, agent=borrower.agent_id, tool=tool, host=host) is None:
            return row
    return None


def note_uses(borrower: Borrower, by: str, uses: Iterable[Use]) -> None:
    """Put uses on record."""
    AccessRecord.objects.bulk_create(
        [
            AccessRecord(
                workspace_id=borrower.workspace_id,
                vault_id=use.vault_id,
                credential_id=use.credential_id,
                by=by,
                session_id=borrower.session_id,
                purpose=use.purpose,
                tool=use.tool,
                host=use.host,
                method=use.method,
                rule=use.rule[:512],
                event_id=use.event_id,
            )
            for use in uses
        ],
        ignore_conflicts=True,
    )


def _active(borrower: Borrower, slot: str | None = None) -> list[Credential]:
    """The active credentials of the session's vaults, in the order of the vaults."""
    if not borrower.vault_ids:
        return []
    rows = Credential.objects.filter(
        vault_id__in=borrower.vault_ids, vault__workspace_id=borrower.workspace_id, archived_at=None
    ).select_related("vault")
    if slot is not None:
        rows = rows.filter(slot=slot)
    return _in_order(borrower, rows)


def _in_order(borrower: Borrower, rows: Iterable[Credential]) -> list[Credential]:
    """Those of the borrower's vaults, the vault named first first."""
    places = {vault_id: place for place, vault_id in enumerate(borrower.vault_ids)}
    mine = [row for row in rows if row.vault_id in places and row.vault.workspace_id == borrower.workspace_id]
    return sorted(mine, key=lambda row: (places[row.vault_id], row.created_at, row.pk))


def of_vaults(vault_ids: Iterable[str]) -> list[Credential]:
    """The active credentials of these vaults, without their secrets: to say beforehand which of them would serve."""
    wanted = list(vault_ids)
    rows = Credential.objects.filter(vault_id__in=wanted, archived_at=None).select_related("vault").defer("sealed")
    return list(rows) if wanted else []
