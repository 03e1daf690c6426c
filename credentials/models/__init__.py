"""What is secret, one file a concern."""

from credentials.models.answers import KeptAnswer
from credentials.models.audit import AuditRecord
from credentials.models.core import ROLE_CHOICES, ApiKey, ModelConnection
from credentials.models.vaults import AccessRecord, Credential, Vault

__all__ = [
    "ROLE_CHOICES",
    "AccessRecord",
    "ApiKey",
    "AuditRecord",
    "Credential",
    "KeptAnswer",
    "ModelConnection",
    "Vault",
]
