from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class CredentialsConfig(AppConfig):
    name = "credentials"
    verbose_name = "Credentials"

    def ready(self) -> None:
        from credentials import signin_records

        post_migrate.connect(guard_audit_log, sender=self)
        signin_records.connect()


def guard_audit_log(using: str, **_: Any) -> None:
    """Let the database itself refuse to change the audit log."""
    from django.db import connections

    from credentials.models.audit import GUARD

    with connections[using].cursor() as cursor:
        cursor.execute(GUARD)
