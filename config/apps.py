"""The wiring as a Django app, so that its commands and checks are found."""

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"
    verbose_name = "Holdfast"

    def ready(self) -> None:
        # For their effect: shared tasks bind to our Celery app in every process, and the checks register themselves.
        from config import celery, checks  # noqa: F401
