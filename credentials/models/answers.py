"""Answers kept for clients that ask again (``Idempotency-Key``)."""

from __future__ import annotations

from django.db import models


class KeptAnswer(models.Model):
    """The first answer to a POST that carried an ``Idempotency-Key``.

    ``fingerprint`` digests the request, ``sealed`` holds the body's bytes (an answer may hold a secret that is
    shown once). ``request_id`` is the first request's. ``kept`` is false where the answer was too large.
    """

    api_key = models.ForeignKey("credentials.ApiKey", models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    request_id = models.CharField(max_length=40)
    status = models.PositiveSmallIntegerField()
    kept = models.BooleanField(default=True)
    sealed = models.BinaryField(default=b"", editable=False)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["api_key", "key"], name="one_answer_per_idempotency_key")]

    def __str__(self) -> str:
        return f"{self.status} for {self.request_id}"

    @property
    def seal_owner(self) -> str:
        """What the body is bound to: known before the row is, and the same after it was replaced."""
        return f"{self.api_key_id} {self.key}"
