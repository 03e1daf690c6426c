"""What happens: sessions, their threads, the append-only log, mounted resources and files.

Columns marked *projected* repeat what the log says. Only ``sessions.log`` writes them, in the
transaction that appends the events; ``manage.py verify`` recomputes and compares them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import F, Func, Value
from django.db.models.base import ModelState
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Lower

from contract import ids
from credentials import at_rest
from sessions.models import readable, shapes

if TYPE_CHECKING:
    from collections.abc import Collection

# A title as words: what parts them in ``projections.said`` must part them here, also where PostgreSQL sees one word.
JOINING = "/\\_.:-=@<>&+~"
TITLE_WORDS = SearchVector(
    Lower(
        Func(
            F("title"), Value(JOINING), Value(" " * len(JOINING)), function="TRANSLATE", output_field=models.TextField()
        )
    ),
    config="simple",
)
STATUSES = shapes.STATUSES
STATUS_CHOICES = [(status, status.capitalize()) for status in STATUSES]


class Session(models.Model):
    """One run of an agent snapshot in an environment (spec core 8). What it may hold: ``shapes.GUARDS``."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.session_id, editable=False)
    workspace = models.ForeignKey("agents.Workspace", models.PROTECT, related_name="sessions")
    agent = models.ForeignKey("agents.Agent", models.PROTECT, related_name="sessions")
    agent_version = models.PositiveIntegerField()
    agent_snapshot = readable.ReadableJSON(
        readable.agent, readable.no_agent
    )  # the wire ``session.agent``, overrides applied
    environment = models.ForeignKey("agents.Environment", models.PROTECT, related_name="sessions")
    deployment = models.ForeignKey(
        "agent_sessions.Deployment", models.SET_NULL, null=True, blank=True, related_name="sessions"
    )
    title = models.TextField(null=True, blank=True)  # noqa: DJ001  null and "" differ on the wire
    metadata = readable.ReadableJSON(readable.labels, default=dict, blank=True)
    vault_ids = readable.ReadableJSON(readable.texts, readable.NoList, default=list, blank=True)
    limits = readable.ReadableJSON(readable.limits, default=dict, blank=True)  # its own caps: contract.limits
    hour_price = models.DecimalField(max_digits=12, decimal_places=6, default=0)  # USD an hour of running time
    budget = readable.ReadableJSON(
        readable.budget, readable.no_budget, null=True, blank=True
    )  # the wire ``budget``: a limit in cents (spec core 8.7)
    permission_rules = readable.ReadableJSON(
        readable.objects, readable.NoList, default=list, blank=True
    )  # tighten the agent's: see agents.policies
    remembered_rules = readable.ReadableJSON(
        readable.objects, readable.NoList, default=list, blank=True
    )  # what people allowed beforehand
    sandbox_config = models.JSONField(null=True, blank=True)  # the environment's, when the sandbox was first made
    forked_from = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="forks")
    forked_at = models.BigIntegerField(null=True, blank=True)  # the last event of the origin that was taken over
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_by_key = models.CharField(max_length=40, blank=True, default="")  # id of the API key that started it
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True, blank=True)

    # projected
    last_seq = models.BigIntegerField(default=0)
    status = readable.ReadableChoice(max_length=16, choices=STATUS_CHOICES, default="idle")
    stop_reason = readable.ReadableJSON(readable.typed, null=True, blank=True)
    usage = readable.ReadableJSON(readable.numbers, default=dict, blank=True)  # sessions.projections.columns.Usage
    cost = readable.ReadableDecimal(max_digits=20, decimal_places=10, default=0)  # USD, exact
    cost_known = models.BooleanField(default=True)
    active_seconds = readable.ReadableFloat(default=0)
    running_since = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    pending_count = models.PositiveIntegerField(default=0)  # calls that wait for a person, a client or a worker
    outside_count = models.PositiveIntegerField(default=0)  # those of them that wait for an outside worker
    outcomes = readable.ReadableSealableJSON(default=list, blank=True)  # the wire ``outcome_evaluations``
    machine = models.CharField(max_length=64, blank=True, default="")  # where its sandbox was opened last
    snapshot = models.CharField(max_length=64, blank=True, default="")  # blob digest of the workspace
    paused = models.CharField(max_length=300, blank=True, default="")  # who holds it between two steps

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = [
            models.Index(fields=["workspace", "-created_at", "-id"], name="session_list"),
            models.Index(fields=["workspace", "status", "-created_at"], name="session_by_status"),
            models.Index(fields=["agent", "-created_at"], include=["agent_version"], name="session_by_agent"),
            models.Index(
                F("workspace"),
                KeyTransform("type", "stop_reason"),
                F("created_at").desc(),
                F("id").desc(),
                name="session_by_reason",
                condition=models.Q(archived_at=None),
            ),
            # Not by updated_at: an index on it would make every append write every index of the row.
            models.Index(
                fields=["workspace", "created_at"], name="session_pending", condition=models.Q(pending_count__gt=0)
            ),
            models.Index(
                fields=["workspace", "-ended_at"], name="session_rested", condition=models.Q(archived_at=None)
            ),
            models.Index(fields=["workspace", "created_at"], name="session_held", condition=~models.Q(paused="")),
            models.Index(
                fields=["workspace", "created_at"], name="session_budgets", condition=models.Q(budget__isnull=False)
            ),
            GinIndex(TITLE_WORDS, name="session_title_words"),
        ]

    def __str__(self) -> str:
        return self.title or self.id

    @classmethod
    def listed(cls, *left: str) -> models.QuerySet[Session]:
        """Sessions without the columns that are ``left`` in the database, which tells what of them nobody can read."""
        told: models.QuerySet[Session] = cls.objects.defer(*left).annotate(unread=shapes.unread(left))
        return told

    @property
    def unreadable(self) -> tuple[str, ...]:
        return (*readable.unreadable(self), *self.__dict__.get("unread", ()))


class Thread(models.Model):
    """A conversation with its own context (spec core 12); the primary one has no parent.

    ``fence`` and the lease columns decide which worker may append: see ``sessions.harness.lease``.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.thread_id, editable=False)
    session = models.ForeignKey(Session, models.CASCADE, related_name="threads")
    last_seq = models.BigIntegerField(default=0)  # of its own events; kept by sessions.log
    parent = models.ForeignKey("self", models.CASCADE, null=True, blank=True, related_name="children")
    workflow_run_id = models.CharField(max_length=40, blank=True, default="")
    workflow_key = models.CharField(max_length=80, blank=True, default="")  # which step of the run's plan it is
    agent = readable.ReadableJSON(readable.agent_of_thread, readable.no_agent)  # the wire ``thread.agent``
    agent_name = models.CharField(max_length=256)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True, blank=True)

    # lease
    fence = models.BigIntegerField(default=0)
    lease_owner = models.CharField(max_length=64, blank=True, default="")
    lease_expires = models.DateTimeField(null=True, blank=True)

    # projected
    status = readable.ReadableChoice(max_length=16, choices=STATUS_CHOICES, default="idle")
    stop_reason = readable.ReadableJSON(readable.typed, null=True, blank=True)
    usage = readable.ReadableJSON(readable.numbers, default=dict, blank=True)
    cost = readable.ReadableDecimal(max_digits=20, decimal_places=10, default=0)
    cost_known = models.BooleanField(default=True)
    active_seconds = readable.ReadableFloat(default=0)
    running_since = models.DateTimeField(null=True, blank=True)
    startup_seconds = models.FloatField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    wake_at = models.DateTimeField(null=True, blank=True)  # when a rescheduled thread tries again
    pending = readable.ReadableJSON(
        readable.calls, readable.NoList, default=list, blank=True
    )  # [{"id", "kind"}] calls without an answer

    class Meta:
        ordering = ("created_at", "id")
        constraints = [
            models.UniqueConstraint(fields=["session"], condition=models.Q(parent=None), name="one_primary_thread"),
            models.UniqueConstraint(
                fields=["workflow_run_id", "workflow_key"],
                condition=~models.Q(workflow_run_id=""),
                name="one_thread_per_workflow_step",
            ),
        ]
        indexes = [
            models.Index(
                fields=["wake_at"],
                name="thread_live",
                condition=models.Q(status__in=["running", "rescheduling"]),
            ),
        ]

    def __str__(self) -> str:
        return self.id

    @property
    def unreadable(self) -> tuple[str, ...]:
        return readable.unreadable(self)


class Machine(models.Model):
    """A machine that runs workers: sessions whose sandboxes it has are left to it while it is seen.

    One that is ``draining`` goes on with those, and takes no others.
    """

    name = models.CharField(primary_key=True, max_length=64)
    seen_at = models.DateTimeField()
    draining = models.BooleanField(default=False, db_default=False)

    def __str__(self) -> str:
        return self.name


# What the database itself looks for in entries stays readable where they are sealed (credentials.at_rest).
CLEAR_PAYLOAD = (
    *("name", "tool_use_id", "custom_tool_use_id", "mcp_tool_use_id", "is_error", "model_usage", "budget"),
    *("stop_reason", "key", "failed", "digest"),
)
CLEAR_PRIVATE = ("usage", "duration_ms")


class Events(models.Manager["Event"]):
    """The log's entries without the words they are found by, which only a search in the database looks at."""

    def get_queryset(self) -> models.QuerySet[Event]:
        return super().get_queryset().defer("words")


class Event(models.Model):
    """One entry of a session's log. Written once by ``sessions.log.append``; the only column that
    changes is ``processed_at``, and an ``ops.event_processed`` entry says so on the log itself.

    ``payload`` holds the wire fields besides id, type and processed_at. ``private`` holds what the
    prompt needs and no reader sees (the provider's ids and thinking blocks). Both may lie sealed in the table; a
    loaded entry holds them as they were written, and whoever reads single columns takes ``CLEAR_PAYLOAD`` alone.
    ``words`` are what a search finds it by, its workspace's id among them (``sessions.search``); null for an entry
    without text; of a sealed one they say only that it is sealed.
    """

    id = models.CharField(primary_key=True, max_length=40)
    # Not checked again by the database for each of a step's entries: an append holds both rows locked (``log``), a
    # deletion locks the session first.
    session = models.ForeignKey(Session, models.CASCADE, related_name="events", db_index=False, db_constraint=False)
    thread = models.ForeignKey(Thread, models.CASCADE, related_name="events", db_index=False, db_constraint=False)
    seq = models.BigIntegerField()
    type = models.CharField(max_length=64)
    on_session = models.BooleanField(default=True)  # shown on the session's own list and stream
    payload = models.JSONField(default=dict)
    private = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField()
    processed_at = models.DateTimeField(null=True)
    words = SearchVectorField(null=True, editable=False)

    objects = Events()

    prior = 0  # of an entry that was just appended: the ``seq`` of its thread's entry before it; not stored

    class Meta:
        ordering = ("session", "seq")
        constraints = [
            models.UniqueConstraint(fields=["session", "seq"], name="gapless_seq"),
            shapes.of_kind("object", "payload", name="event_objects"),
        ]
        indexes = [
            models.Index(fields=["session", "processed_at", "seq"], name="event_list"),
            models.Index(fields=["thread", "seq"], name="event_thread"),
            models.Index(
                fields=["session", "seq"], name="event_snapshots", condition=models.Q(type="ops.sandbox_snapshot")
            ),
            GinIndex(fields=["words"], name="event_words", condition=models.Q(words__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("Events are appended by sessions.log.append and never saved.")

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("Events live and die with their session.")

    @classmethod
    def appended(cls, prior: int, **columns: Any) -> Self:
        """An entry that the log just took in, with a value for each column but its words. Entries are never saved;
        what Django's constructor prepares for that takes five times as long.
        """
        event = cls.__new__(cls)
        event._state = ModelState()
        event.__dict__.update(columns, words=None, prior=prior)
        return event

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **more: Any) -> Self:
        """The one door through which entries come from the table. Raises ``credentials.crypto.CannotOpen``."""
        event = super().from_db(db, field_names, values, **more)
        held = event.__dict__
        if at_rest.is_sealed(held.get("payload")):
            event.payload = at_rest.opened(event.payload, event.pk)
        if at_rest.is_sealed(held.get("private")):
            event.private = at_rest.opened(event.private, f"{event.pk} private")
        return event

    def stored(self) -> tuple[Any, Any]:
        """``payload`` and ``private`` as the table keeps them."""
        private = at_rest.shut(self.private, f"{self.pk} private", CLEAR_PRIVATE)
        return at_rest.shut(self.payload, self.pk, CLEAR_PAYLOAD), private


class File(models.Model):
    """An upload or an output (spec core 9.2). Bytes are the blob named ``digest`` (SHA-256).

    ``session`` is set for files scoped to a session: copies of mounted uploads (``path`` empty)
    and captured outputs (``path`` relative to the outputs directory, one row a path).
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.file_id, editable=False)
    workspace = models.ForeignKey("agents.Workspace", models.PROTECT, related_name="files")
    session = models.ForeignKey(Session, models.CASCADE, null=True, blank=True, related_name="files")
    filename = models.CharField(max_length=512)
    mime_type = models.CharField(max_length=255)
    size_bytes = models.BigIntegerField()
    digest = models.CharField(max_length=64)
    path = models.TextField(blank=True, default="")
    mtime_ns = models.BigIntegerField(default=0)
    downloadable = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = [
            models.UniqueConstraint(
                fields=["session", "path"], condition=~models.Q(path=""), name="one_file_per_output"
            )
        ]
        indexes = [models.Index(fields=["workspace", "-created_at", "-id"], name="file_list")]

    def __str__(self) -> str:
        return self.filename


class Resource(models.Model):
    """Something mounted into a session's sandbox (spec core 9.1).

    ``kind`` is the API's type. A ``file`` has ``file``; a ``github_repository`` has ``url`` and ``checkout`` in
    ``details`` and its token, if any, in ``sealed``, bound to the id; a ``memory_store`` has ``store_id`` and in
    ``details`` access, instructions and the store's name and description when it was attached.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.resource_id, editable=False)
    session = models.ForeignKey(Session, models.CASCADE, related_name="resources")
    kind = models.CharField(max_length=32, default="file")
    file = models.ForeignKey(File, models.CASCADE, null=True, blank=True, related_name="resources")
    store_id = models.CharField(max_length=40, blank=True, default="")  # no foreign key: it outlives the store
    details = models.JSONField(default=dict, blank=True)
    sealed = models.BinaryField(default=b"", editable=False)
    state = models.JSONField(default=dict, blank=True)  # of a repository in the sandbox: commit and skills
    mount_path = models.TextField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ("created_at", "id")
        constraints = [models.UniqueConstraint(fields=["session", "mount_path"], name="one_resource_per_path")]
        indexes = [models.Index(fields=["store_id"], name="resource_store", condition=~models.Q(store_id=""))]

    def __str__(self) -> str:
        return self.mount_path
