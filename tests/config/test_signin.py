"""Sign-in with a password is throttled by name and by address, and works without Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.test import Client, RequestFactory

from config import rates
from config.signin import throttle

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.django_db


class Memory:
    """As much of Redis as the counters use."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}

    def get(self, name: str) -> int | None:
        return self.kept.get(name)

    def delete(self, name: str) -> None:
        self.kept.pop(name, None)

    def incr(self, name: str, by: int = 1) -> int:
        self.kept[name] = self.kept.get(name, 0) + by
        return self.kept[name]

    def decr(self, name: str) -> int:
        return self.incr(name, -1)

    def expire(self, name: str, seconds: int) -> None:
        assert seconds == throttle.WINDOW_SECONDS

    def pipeline(self, *, transaction: bool) -> Memory:
        return self

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *problem: object) -> None:
        pass

    def execute(self) -> None:
        pass


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Memory]:
    kept = Memory()
    monkeypatch.setattr(rates, "client", lambda url: kept)
    get_user_model().objects.create_user("alice", password="only for tests")
    yield kept


def sign_in(password: str, name: str = "alice", **more: Any) -> Any:
    return Client().post("/login", {"username": name, "password": password}, **more)


def test_after_five_failures_even_the_right_password_waits(memory: Memory) -> None:
    for _ in range(throttle.FAILURES_OF_A_NAME):
        assert sign_in("wrong").status_code == 200
    refused = sign_in("only for tests")
    assert refused.status_code == 429
    assert "Wait five minutes" in refused.content.decode()
    assert sign_in("only for tests", REMOTE_ADDR="10.9.8.7").status_code == 302


def test_a_success_forgets_the_failures_of_the_name(memory: Memory) -> None:
    for _ in range(throttle.FAILURES_OF_A_NAME - 1):
        sign_in("wrong")
    assert sign_in("only for tests").status_code == 302
    assert sign_in("wrong").status_code == 200


def test_attempts_at_one_moment_get_no_further_than_one_after_another(memory: Memory) -> None:
    request = RequestFactory().post("/login")
    begun = [throttle.Attempts(request, name="alice").begin() for _ in range(12)]
    assert begun == [True] * throttle.FAILURES_OF_A_NAME + [False] * (12 - throttle.FAILURES_OF_A_NAME)
    assert sorted(memory.kept.values()) == [throttle.FAILURES_OF_A_NAME] * 2, "refused attempts don't count"
    throttle.Attempts(request, name="alice").succeeded()
    assert list(memory.kept.values()) == [throttle.FAILURES_OF_A_NAME - 1]


def test_trying_many_names_from_one_address_is_throttled(memory: Memory) -> None:
    for number in range(throttle.FAILURES_OF_AN_ADDRESS):
        sign_in("wrong", name=f"guess{number}")
    assert sign_in("wrong", name="fresh").status_code == 429
    assert all("guess" not in name for name in memory.kept)


def test_without_redis_people_can_still_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(url: str) -> Any:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(rates, "client", away)
    get_user_model().objects.create_user("alice", password="only for tests")
    assert sign_in("wrong").status_code == 200
    assert sign_in("only for tests").status_code == 302


def test_the_admin_has_no_sign_in_of_its_own(memory: Memory) -> None:
    response = Client().get("/admin/login/?next=/admin/")
    assert (response.status_code, response["Location"]) == (302, "/login?next=%2Fadmin%2F")


def test_who_may_not_open_the_admin_is_told_so_and_not_sent_round(memory: Memory) -> None:
    member = Client()
    member.force_login(get_user_model().objects.create_user("bob"))
    refused = member.get("/admin/", follow=True)
    assert refused.status_code == 403
    assert "looks after this installation" in refused.content.decode()
