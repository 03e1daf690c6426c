"""The task broker, and what may lie in its queues: a message that can't be read costs itself only.

Kombu and Celery let whatever is no message end the whole worker, with all turns it has. Here it is dropped and told of
in the log. Nothing is lost by that: messages are wake-ups, and the sweeper finds the work of those that are gone.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kombu.transport import TRANSPORT_ALIASES, pyamqp, redis
from redis.backoff import NoBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1.0  # what Redis takes to answer; without an answer the sweeper finds the work
ANSWERS = {"socket_timeout": TIMEOUT_SECONDS, "retry": Retry(NoBackoff(), 0)}
PATIENT = {**ANSWERS, "socket_timeout": 2 * TIMEOUT_SECONDS}
NO_MESSAGE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)  # what taking JSON apart may raise


class Channel(redis.Channel):
    """Puts messages into the queues, and takes them off."""

    def _connparams(self, asynchronous: bool = False) -> Any:
        """How a connection is made. Whoever puts a message in waits for the answer, an API request for one, and without
        a time-out for ever where Redis hangs. Whoever takes messages off asks Redis to wait for a second.
        """
        found = super()._connparams(asynchronous)  # type: ignore[no-untyped-call]
        return {**found, **(PATIENT if asynchronous else ANSWERS)}

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except NO_MESSAGE as error:
            _tell(error)
            return True  # something was taken off the queue

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Callable[[Any], Any], consumer_tag: str, **options: Any
    ) -> Any:
        """Consume from a queue; a message that fails Celery is no longer kept as unacknowledged."""

        def taken(message: Any) -> Any:
            try:
                return callback(message)
            except self.connection.connection_errors:
                raise
            except Exception:
                if not message.acknowledged:
                    message.reject_log_error(logger, self.connection.connection_errors)
                raise

        return super().basic_consume(queue, no_ack, taken, consumer_tag, **options)  # type: ignore[no-untyped-call]


class Transport(redis.Transport):
    """Redis with the channel of above."""

    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> None:
        try:
            super()._deliver(message, queue)  # type: ignore[no-untyped-call]
        except self.connection_errors:
            raise
        except Exception as error:  # JSON, but no message, or a message that is none of Celery's
            _tell(error)


class RabbitChannel(pyamqp.Channel):
    """Takes messages off RabbitMQ's queues. One that fails Celery is rejected; given back, it would end each worker."""

    def message_to_python(self, raw_message: Any) -> Any:
        """Celery's view of a message, which knows whether it was acknowledged."""
        raw_message.viewed = super().message_to_python(raw_message)  # type: ignore[no-untyped-call]
        return raw_message.viewed

    def basic_consume(self, queue: str = "", *, callback: Callable[[Any], Any], **options: Any) -> Any:
        """Consume from a queue."""

        def taken(message: Any) -> Any:
            try:
                return callback(message)
            except (*self.connection.connection_errors, *self.connection.channel_errors):
                raise
            except Exception as error:
                _tell(error)
                viewed = getattr(message, "viewed", None)
                if viewed is None or not viewed.acknowledged:
                    self.basic_reject(message.delivery_tag, requeue=False)

        return super().basic_consume(queue, callback=taken, **options)


class RabbitConnection(pyamqp.Connection):
    Channel = RabbitChannel


class RabbitTransport(pyamqp.Transport):
    """RabbitMQ with the channel of above."""

    Connection = RabbitConnection


class RabbitTLSTransport(pyamqp.SSLTransport):
    """The same by TLS."""

    Connection = RabbitConnection


def install() -> None:
    """Have Celery use them for every address."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"))
    TRANSPORT_ALIASES.update(dict.fromkeys(("amqp", "pyamqp"), f"{__name__}:RabbitTransport"))
    TRANSPORT_ALIASES["amqps"] = f"{__name__}:RabbitTLSTransport"


def _tell(error: BaseException) -> None:
    logger.error("A message in the task queue could not be read and was dropped (%s: %s).", type(error).__name__, error)
