"""What only the database and the sandbox host can tell after a storm; run as a process of the installation's own."""

from __future__ import annotations

import json
import os

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from sessions import workspaces
    from sessions.models import Thread

    held = Thread.objects.filter(lease_expires__isnull=False).exclude(status__in=("running", "rescheduling"))
    print(json.dumps({"leases": held.count(), "sandboxes": len(workspaces.sweep_here())}))


if __name__ == "__main__":
    main()
