"""Failures to sign in, counted in Redis: who fails too often waits, whichever way they try. Without Redis none is."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

import redis
from django.conf import settings

from config import rates

if TYPE_CHECKING:
    from django.http import HttpRequest

log = logging.getLogger(__name__)

WINDOW_SECONDS = 300
FAILURES_OF_A_NAME = 5  # from one address
FAILURES_OF_A_PERSON = 10  # with a second factor, from anywhere: the password was right
FAILURES_OF_AN_ADDRESS = 30
LATER = "Too many attempts failed. Wait five minutes, then try again."


class Attempts:
    """The attempts of one request: by its address, and by the ``name`` typed or the ``person`` who is half in."""

    def __init__(self, request: HttpRequest, *, name: str = "", person: int | None = None) -> None:
        address = request.META.get("REMOTE_ADDR", "")
        prefix = f"{settings.HOLDFAST_CHANNEL_PREFIX}:signin"
        self.counters = {f"{prefix}:address:{address}": FAILURES_OF_AN_ADDRESS}
        self.own = ""
        if name:
            who = hashlib.sha256(f"{address} {name.casefold()}".encode()).hexdigest()[:32]
            self.own = f"{prefix}:name:{who}"
            self.counters[self.own] = FAILURES_OF_A_NAME
        if person is not None:
            self.own = f"{prefix}:person:{person}"
            self.counters[self.own] = FAILURES_OF_A_PERSON

    def are_too_many(self) -> bool:
        """For what can't be guessed: looked at only, and counted by ``failed``."""
        return any(_counted(name) >= most for name, most in self.counters.items())

    def failed(self) -> None:
        for name in self.counters:
            _count(name)

    def begin(self) -> bool:
        """Count an attempt as failed before it is looked at, so that many at one moment get no further than one after
        another. False, and not counted, if there were too many.
        """
        begun = [name for name, most in self.counters.items() if _count(name, most)]
        if len(begun) == len(self.counters):
            return True
        for name in begun:
            _take_back(name)
        return False

    def succeeded(self) -> None:
        """After ``begin``: forget the failures of the name or person; the address's stay."""
        for name in self.counters:
            if name == self.own:
                _forget(name)
            else:
                _take_back(name)


def _count(name: str, most: int | None = None) -> bool:
    """Count a failure; False if it would be one more than ``most``. Everything passes while Redis is away."""
    try:
        client = rates.client(settings.HOLDFAST_REDIS_URL)
        if most is not None and int(client.incr(name)) > most:
            client.decr(name)
            return False
        with client.pipeline(transaction=False) as pipeline:
            if most is None:
                pipeline.incr(name)
            pipeline.expire(name, WINDOW_SECONDS)
            pipeline.execute()
    except (redis.RedisError, OSError) as error:
        log.warning("A failed sign-in could not be counted (%s).", type(error).__name__)
    return True


def _take_back(name: str) -> None:
    try:
        client = rates.client(settings.HOLDFAST_REDIS_URL)
        if int(client.decr(name)) <= 0:
            client.delete(name)
    except (redis.RedisError, OSError) as error:
        log.warning("A sign-in could not be taken back (%s).", type(error).__name__)


def _counted(name: str) -> int:
    """Failures so far; none if Redis is away, since nobody could sign in to mend it otherwise."""
    try:
        return int(rates.client(settings.HOLDFAST_REDIS_URL).get(name) or 0)
    except (redis.RedisError, OSError, ValueError) as error:
        log.warning("Failed sign-ins could not be looked up (%s).", type(error).__name__)
        return 0


def _forget(name: str) -> None:
    try:
        rates.client(settings.HOLDFAST_REDIS_URL).delete(name)
    except (redis.RedisError, OSError) as error:
        log.warning("Failed sign-ins could not be forgotten (%s).", type(error).__name__)
