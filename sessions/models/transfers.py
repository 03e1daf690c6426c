"""Archives of a workspace on their way out or in, as the page makes them."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from contract import ids

EXPORT, IMPORT = "export", "import"
WAITING, RUNNING, CHECKED, COMPLETED, FAILED = "waiting", "running", "checked", "completed", "failed"
STATES = (WAITING, RUNNING, CHECKED, COMPLETED, FAILED)


class Transfer(models.Model):
    """One archive. An export is made once; an import is checked first (``checked``: what it would bring), and brought
    in when a person says so (``confirmed``). The file lies in ``DATA_DIR/transfers``; the passphrase is sealed, and
    forgotten together with it.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.transfer_id, editable=False)
    workspace = models.ForeignKey("agents.Workspace", models.CASCADE, related_name="transfers")
    kind = models.CharField(max_length=8, choices=[(one, one.capitalize()) for one in (EXPORT, IMPORT)])
    state = models.CharField(max_length=12, choices=[(one, one.capitalize()) for one in STATES], default=WAITING)
    confirmed = models.BooleanField(default=False)
    filename = models.CharField(max_length=255, blank=True, default="")
    size = models.BigIntegerField(default=0)
    sealed_passphrase = models.BinaryField(default=b"", editable=False)
    report = models.JSONField(default=dict, blank=True)  # {"from", "made_at", "rows": {name: [rows, here already]}}
    message = models.TextField(blank=True, default="")  # why it failed
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = [models.Index(fields=["workspace", "-created_at", "-id"], name="transfer_list")]

    def __str__(self) -> str:
        return self.id

    @property
    def is_open(self) -> bool:
        return self.state in (WAITING, RUNNING)
