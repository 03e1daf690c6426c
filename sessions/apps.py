from django.apps import AppConfig
from django.db.models.signals import post_migrate


class SessionsConfig(AppConfig):
    """The plain label would collide with ``django.contrib.sessions``."""

    name = "sessions"
    label = "agent_sessions"
    verbose_name = "Sessions"

    def ready(self) -> None:
        from contract import happenings
        from credentials import resealing as sealed
        from sessions import listeners, resealing, storing

        post_migrate.connect(storing.arrange, sender=self)
        happenings.listen("deployments", listeners.follow_agents)
        happenings.listen("webhooks", listeners.tell_webhooks)
        happenings.listen("caps", listeners.give_room)
        happenings.listen("people", listeners.close_sockets)
        sealed.STORES["sessions"] = resealing.stores
