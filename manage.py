#!/usr/bin/env python3
"""Holdfast's command line: `manage.py up` runs everything, `manage.py help` lists the rest."""

import os
import sys
from pathlib import Path


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if sys.argv[1:2] == ["up"]:
        # The supervisor needs no models: skipping Django here saves over a second of every start.
        from config.services.up import main as up

        raise SystemExit(up(sys.argv[2:]))
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) is not None:
            raise  # the database answered
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SystemExit(
            f"The database gave no answer ({reason}); start it, or name the right one by DATA_DIR or DATABASE_URL."
        ) from None


if __name__ == "__main__":
    main()
