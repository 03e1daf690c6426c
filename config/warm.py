"""Work that the first requests would otherwise wait for, done beside the start of a web process."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)


def warm_up_aside() -> threading.Thread:
    """Start ``warm_up`` in a thread of its own; requests that come meanwhile are served all the same."""
    thread = threading.Thread(target=warm_up, name="warm-up", daemon=True)
    thread.start()
    return thread


def warm_up() -> None:
    """Import the SDK's types, build the request models and open a connection to the broker."""
    try:
        build_models()
        _reach_broker()
    except Exception:
        log.exception("Warming up failed; the first requests will take a little longer.")


def build_models() -> None:
    """Import the SDK's types and make the request models. Touches nothing but memory."""
    from contract.schema import request_model
    from sessions.api.events import listable_types

    for path in request_types():
        request_model(path)
    listable_types()


def request_types() -> Iterator[str]:
    """The SDK types of every request body of the API."""
    from config.api import api
    from contract.schema import Params

    for _, router in api._routers:
        for view in router.path_operations.values():
            for operation in view.operations:
                for model in operation.models:
                    for field in model.model_fields.values():
                        yield from (mark.path for mark in field.metadata if isinstance(mark, Params))


def _reach_broker() -> None:
    from kombu.exceptions import OperationalError

    from config.celery import app

    try:
        with app.producer_or_acquire() as producer:
            producer.connection.ensure_connection(max_retries=1, timeout=5)
    except (OperationalError, OSError) as error:
        log.warning("The task broker does not answer yet (%s).", type(error).__name__)
