"""The four forms of a user profile on the wire, told apart by ``anthropic-beta`` (spec advanced 19). Pure."""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN_FIELD = "is not part of the API version that the anthropic-beta header selects"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a generation of clients sends and expects.

    ``details`` nests what the platform states in ``external_user_details``; without it the reference is
    ``external_id`` and, with ``onboarded``, the time is ``external_user_onboarded_at``. ``programs`` shows
    programs and enforcement instead of ``trust_grants``.
    """

    access_type: bool = True
    details: bool = True
    onboarded: bool = False
    programs: bool = False

    def takes(self, field: str) -> bool:
        """True if a request of this dialect may have ``field``."""
        return {
            "external_user_details": self.details,
            "external_id": not self.details,
            "external_user_onboarded_at": self.onboarded,
        }.get(field, True)


CURRENT = Dialect(programs=True)
DIALECTS = {
    "user-profiles-2026-03-24": Dialect(access_type=False, details=False),
    "user-profiles-2026-08-18": Dialect(details=False, onboarded=True),
    "user-profiles-2026-09-04": Dialect(),
}


def of(header: str) -> Dialect:
    """The first profile beta of the header counts: the SDK puts the caller's own before its default."""
    for name in header.split(","):
        if name.strip() in DIALECTS:
            return DIALECTS[name.strip()]
    return CURRENT
