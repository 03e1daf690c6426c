"""Rows of a model by a question that was compiled before: the same as by its queryset."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from sessions import prepared
from sessions.models import Session, Thread
from tests.sessions.rows import make_session

pytestmark = pytest.mark.django_db(transaction=True)


def question() -> prepared.Question[Thread]:
    return prepared.Question(
        lambda: Thread.objects.select_related("session__environment").filter(
            session_id=prepared.TEXT, fence__gte=prepared.NUMBER, status="idle"
        )
    )


def test_rows_are_those_of_the_queryset_with_all_that_belongs_to_them() -> None:
    session, thread = make_session()
    Thread.objects.filter(pk=thread.pk).update(usage={"input_tokens": 7}, cost=Decimal("0.25"), fence=3)
    with CaptureQueriesContext(connection) as queries:
        (found,) = question().rows(3, session.pk)
        assert found.session.environment.config == {"type": "cloud"}
    assert len(queries) == 1
    (plain,) = Thread.objects.filter(pk=thread.pk)
    fields = [field.attname for field in Thread._meta.concrete_fields]
    assert {name: getattr(found, name) for name in fields} == {name: getattr(plain, name) for name in fields}
    assert found.session == Session.objects.get(pk=session.pk)


def test_a_question_is_asked_anew_each_time_for_its_own_values() -> None:
    session, _ = make_session()
    asked = question()
    assert len(asked.rows(0, session.pk)) == 1
    assert asked.rows(1, session.pk) == []
    assert asked.rows(0, "sesn_other") == []
    Thread.objects.filter(session=session).update(status="terminated")
    assert asked.rows(0, session.pk) == []


def test_rows_are_locked_within_a_transaction_alone() -> None:
    session, _ = make_session()
    asked = prepared.Question(lambda: Session.objects.select_for_update().filter(pk=prepared.TEXT).order_by())
    with transaction.atomic():
        assert asked.rows(session.pk) == [session]
    with pytest.raises(TransactionManagementError):
        asked.rows(session.pk)


def test_a_question_has_a_value_for_each_place() -> None:
    for values in ((3,), (3, "sesn_x", "more")):
        with pytest.raises(ValueError):
            question().rows(*values)


def test_threads_that_ask_the_same_question_get_their_own_answers() -> None:
    sessions = [make_session()[0].pk for _ in range(8)]
    asked = question()

    def ask(session_id: str) -> str:
        try:
            return asked.rows(0, session_id)[0].session_id
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, sessions * 5)) == sessions * 5
