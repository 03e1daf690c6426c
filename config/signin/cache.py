"""Django's cache in our Redis. While Redis is away it remembers nothing, so that people can sign in to mend it."""

from __future__ import annotations

import logging
from typing import Any

import redis
from django.core.cache.backends.redis import RedisCache

log = logging.getLogger(__name__)


class SharedCache(RedisCache):
    """As much of the cache as signing in uses."""

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        try:
            return super().get(key, default, version)
        except (redis.RedisError, OSError) as error:
            log.warning("The cache could not be read (%s).", type(error).__name__)
            return default

    def add(self, key: Any, value: Any, timeout: Any = None, version: int | None = None) -> bool:
        try:
            return bool(super().add(key, value, timeout, version))
        except (redis.RedisError, OSError) as error:
            log.warning("The cache could not be written (%s).", type(error).__name__)
            return True
