from django.apps import AppConfig


class SessionsConfig(AppConfig):
    """The plain label would collide with ``django.contrib.sessions``."""

    name = "sessions"
    label = "agent_sessions"
    verbose_name = "Sessions"

    def ready(self) -> None:
        from agents.signals import agent_changed
        from sessions import caps

        agent_changed.connect(caps.agent_changed)
