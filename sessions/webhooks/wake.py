"""Ask some worker to deliver what waits for an endpoint. Only a hint; the sweeper finds what got lost."""

from __future__ import annotations

import logging

from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


def wake(endpoint_id: str) -> None:
    """Queue a delivery now. A broker that is away is logged, never raised."""
    from sessions.tasks import deliver_webhooks

    try:
        deliver_webhooks.delay(endpoint_id)
    except (OperationalError, OSError) as error:
        log.warning("The broker took no delivery (%s); the sweeper will find it.", type(error).__name__)
