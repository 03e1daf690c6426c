"""Requests a minute of one API key, counted in Redis; off unless `REQUESTS_PER_MINUTE` is set."""

from __future__ import annotations

import logging
import time
from functools import lru_cache

import redis
from django.conf import settings

from contract.errors import RateLimited

log = logging.getLogger(__name__)

MINUTE = 60
TIMEOUT_SECONDS = 0.5


def count(api_key_id: str) -> None:
    """Count one request. Raises ``RateLimited`` over the limit; a Redis that is away lets everything pass."""
    limit = settings.HOLDFAST_REQUESTS_PER_MINUTE
    if not limit:
        return
    minute, second = divmod(int(now()), MINUTE)
    name = f"{settings.HOLDFAST_CHANNEL_PREFIX}:rate:{api_key_id}:{minute}"
    try:
        with client(settings.HOLDFAST_REDIS_URL).pipeline(transaction=False) as pipeline:
            pipeline.incr(name)
            pipeline.expire(name, 2 * MINUTE)
            counted = pipeline.execute()[0]
    except (redis.RedisError, OSError) as error:
        log.warning("Requests could not be counted (%s); they pass.", type(error).__name__)
        return
    if counted > limit:
        raise RateLimited(f"This key may make {limit} requests a minute.", retry_after=MINUTE - second)


def now() -> float:
    """Seconds since the epoch."""
    return time.time()


@lru_cache(maxsize=4)
def client(url: str) -> redis.Redis:
    """The connection of this process to a Redis."""
    return redis.Redis.from_url(url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS)
