"""The page of what the SDK can do here is whole, true and current."""

from __future__ import annotations

from tests.sdk import compatibility


def known() -> set[str]:
    return {*compatibility.methods(), *compatibility.sendable(), *compatibility.events()}


def test_everything_the_installed_sdk_has_is_proven() -> None:
    unknown = sorted(known() - set(compatibility.proofs()))
    assert unknown == [], "mark the tests that prove these with pytest.mark.proves"


def test_no_test_proves_what_the_sdk_does_not_have() -> None:
    """A mark may add which error or stop reason of an event it means."""
    there = known()
    strange = [name for name in compatibility.proofs() if not {name, name.partition(" ")[0]} & there]
    assert strange == []


def test_the_page_is_current() -> None:
    assert compatibility.PAGE.read_text(encoding="utf-8") == compatibility.page(), "run `make compatibility`"
