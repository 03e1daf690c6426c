"""Sign-in with a password, throttled: failures are counted by name and by address, in Redis."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

import redis
from django.conf import settings
from django.contrib.auth.views import LoginView

from config import rates

if TYPE_CHECKING:
    from django.contrib.auth.forms import AuthenticationForm
    from django.http import HttpRequest, HttpResponse
    from django.http.response import HttpResponseBase

log = logging.getLogger(__name__)

WINDOW_SECONDS = 300
FAILURES_OF_A_NAME = 5  # from one address
FAILURES_OF_AN_ADDRESS = 30
LATER = "Too many attempts failed. Wait five minutes, then try again."


class SignIn(LoginView):
    """The sign-in page. Who fails too often waits, even with the right password."""

    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self._is_throttled():
            return self.render_to_response(self.get_context_data(later=LATER), status=429)
        return super().post(request, *args, **kwargs)

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        for name, _ in self._counters():
            _count(name)
        response: HttpResponse = super().form_invalid(form)
        return response

    def form_valid(self, form: AuthenticationForm) -> HttpResponseBase:  # type: ignore[override]
        _forget(self._counters()[0][0])
        return super().form_valid(form)

    def _is_throttled(self) -> bool:
        return any(_counted(name) >= most for name, most in self._counters())

    def _counters(self) -> list[tuple[str, int]]:
        """What is counted, and how far: the name typed from this address, and the address."""
        address = self.request.META.get("REMOTE_ADDR", "")
        typed = self.request.POST.get("username", "").casefold()
        who = hashlib.sha256(f"{address} {typed}".encode()).hexdigest()[:32]
        prefix = f"{settings.HOLDFAST_CHANNEL_PREFIX}:signin"
        return [
            (f"{prefix}:name:{who}", FAILURES_OF_A_NAME),
            (f"{prefix}:address:{address}", FAILURES_OF_AN_ADDRESS),
        ]


def _count(name: str) -> None:
    try:
        with rates.client(settings.HOLDFAST_REDIS_URL).pipeline(transaction=False) as pipeline:
            pipeline.incr(name)
            pipeline.expire(name, WINDOW_SECONDS)
            pipeline.execute()
    except (redis.RedisError, OSError) as error:
        log.warning("A failed sign-in could not be counted (%s).", type(error).__name__)


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
