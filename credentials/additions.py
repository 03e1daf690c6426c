"""Our own fields of a credential, sent and answered under ``holdfast``: for now its scope."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class ScopeFields(BaseModel):
    """What the credential may be used for; a list that is left out or null limits nothing (``credentials.scopes``)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    agents: list[str] | None = None
    tools: list[str] | None = None
    hosts: list[str] | None = None
    methods: list[str] | None = None


class CredentialAdditions(BaseModel):
    """``scope`` replaces the one before as a whole; null takes it away."""

    model_config = ConfigDict(extra="forbid", strict=True)

    scope: ScopeFields | None = None
