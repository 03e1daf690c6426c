"""The wiring as a Django app, so that its commands and checks are found."""

import sys
from pathlib import Path

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class OurAdminConfig(AdminConfig):
    default_site = "config.admin_site.Site"


class ConfigConfig(AppConfig):
    name = "config"
    verbose_name = "Holdfast"

    def ready(self) -> None:
        # For their effect: shared tasks bind to our Celery app in every process, and the checks register themselves.
        from config import celery, checks  # noqa: F401
        from config.settings import HOLDFAST
        from config.signin import resealing
        from config.telemetry import start
        from credentials.resealing import STORES

        STORES["second factors"] = resealing.stores
        start(HOLDFAST, Path(sys.argv[0]).name)
