"""What was used when: kept by ``sessions.log`` beside the log, since a sum over a whole log would take too long."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class UsageSlice(models.Model):
    """What a session used of one model in a quarter of an hour, which is the finest that days of any zone need.

    It outlives the session: money that was spent stays spent. ``unpriced`` counts requests without a known price.
    """

    workspace = models.ForeignKey("agents.Workspace", models.CASCADE, related_name="usage_slices", db_index=False)
    agent = models.ForeignKey("agents.Agent", models.CASCADE, related_name="usage_slices", db_index=False)
    session_id = models.CharField(max_length=40)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    api_key_id = models.CharField(max_length=40, blank=True, default="")
    at = models.DateTimeField()  # the beginning of the quarter
    model = models.CharField(max_length=256, blank=True, default="")  # "" for what no model was asked for
    requests = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cost = models.DecimalField(max_digits=20, decimal_places=10, default=0)  # USD, of requests with a price
    unpriced = models.BigIntegerField(default=0)

    class Meta:
        ordering = ("at", "id")
        constraints = [models.UniqueConstraint(fields=["session_id", "at", "model"], name="one_slice_per_quarter")]
        indexes = [models.Index(fields=["workspace", "at"], name="usage_by_time")]

    def __str__(self) -> str:
        return f"{self.session_id} {self.at:%Y-%m-%d %H:%M} {self.model}"
