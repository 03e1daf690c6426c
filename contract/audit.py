"""The audit log: who changed what, with the values before and after, never a secret one.

``@logged`` stands on the actions themselves, so that a change is on record whichever door it came by. The rows
belong to ``credentials``, which nothing down here may import; they are found by name.
"""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from django.apps import apps
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction

from contract.acting import Acting
from contract.roles import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Params = ParamSpec("Params")
Result = TypeVar("Result")

# Columns that are secret, or that change by themselves with no person behind it.
LEFT_OUT = frozenset(
    {
        "password", "digest", "sealed", "sealed_key", "sealed_secret", "hint", "last_used_at", "last_login",
        "updated_at", "last_seq", "status", "stop_reason", "usage", "cost", "cost_known", "active_seconds",
        "running_since", "ended_at", "pending_count", "snapshot", "agent_snapshot", "bundle", "content", "last_error",
    }
)  # fmt: skip
LONGEST = 2000
PERSON = "auth.User"


def logged(
    action: str, kind: str, by: str = "", *, within: str = "", always: bool = False, bare: bool = False
) -> Callable[[Callable[Params, Result]], Callable[Params, Result]]:
    """Put calls of an action on record as ``action``, such as ``agent.updated``.

    ``kind`` is the model, such as ``agents.Agent``. ``by`` names the parameter that holds the row's id; without it
    the row is what the action returns. That row is locked first, so that nobody else's change comes between the values
    before and after. ``within`` names its foreign key to the row that all locks of its kind begin with.

    A call that changes nothing leaves no record unless ``always`` says so (a new secret can't be seen in the values),
    one that fails neither. ``bare`` records no values: they are personal.
    """

    def decorate(function: Callable[Params, Result]) -> Callable[Params, Result]:
        signature = inspect.signature(function)

        @wraps(function)
        def recorded(*args: Params.args, **kwargs: Params.kwargs) -> Result:
            given = signature.bind(*args, **kwargs).arguments
            acting = cast("Acting", given["acting"])
            with transaction.atomic():
                named = str(given[by]) if by else ""
                before = _held(kind, named, acting.workspace_id, within) if named else None
                result = function(*args, **kwargs)
                object_id = named or _id_of(result, kind)
                after = state(kind, object_id, acting.workspace_id)
                if before != after or always:
                    kept = (None, None) if bare else (before, after)
                    record(acting, action, kind, object_id, *kept)
            return result

        recorded.__audited__ = action  # type: ignore[attr-defined]
        return recorded

    return decorate


def record(
    acting: Acting,
    action: str,
    kind: str,
    object_id: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write one record; of values that are on both sides only those that differ."""
    old, new = dict(before or {}), dict(after or {})
    if before and after:
        same = {name for name in old if name in new and old[name] == new[name]}
        old, new = ({name: value for name, value in side.items() if name not in same} for side in (old, new))
    apps.get_model("credentials.AuditRecord").objects.create(
        workspace_id=acting.workspace_id,
        actor=acting.label,
        user_id=acting.user_id,
        api_key_id=acting.api_key_id or "",
        action=action,
        kind=kind,
        object_id=object_id,
        before=old or None,
        after=new or None,
    )


def of_person(user: Any, action: str, after: Mapping[str, Any] | None = None, *, by: Any = None) -> None:
    """Put what happened to a person's account on record in each workspace they belong to, else in none's.

    Its admins see it there, and go on seeing it when the person has left. ``by``: who did it, if not they themselves.
    """
    actor = by or user
    belongs = apps.get_model("agents.Membership").objects.filter(user_id=user.pk)
    for workspace_id in belongs.values_list("workspace_id", flat=True) or [""]:
        acting = Acting(workspace_id, Role.VIEWER, actor.get_username(), user_id=actor.pk)
        record(acting, action, PERSON, str(user.pk), after=after)


def state(kind: str, object_id: str, workspace_id: str) -> dict[str, Any] | None:
    """What a row holds now; None if it isn't there, or belongs to another workspace."""
    try:
        row = apps.get_model(kind).objects.filter(pk=object_id).first()
    except ValueError:  # an id that can't be one of this kind
        return None
    return _of_workspace(row, workspace_id)


def _of_workspace(row: models.Model | None, workspace_id: str) -> dict[str, Any] | None:
    if row is None or getattr(row, "workspace_id", workspace_id) != workspace_id:
        return None
    return values(row)


def _held(kind: str, object_id: str, workspace_id: str, within: str) -> dict[str, Any] | None:
    """``state``, of a row that stays as it is until the transaction ends."""
    try:
        rows = apps.get_model(kind).objects.filter(pk=object_id)
    except ValueError:  # an id that can't be one of this kind
        return None
    if within:
        above = rows.model._meta.get_field(within).related_model.objects.filter(pk__in=rows.values(within))
        list(above.select_for_update(of=("self",)).values_list("pk"))
    return _of_workspace(rows.select_for_update(of=("self",)).first(), workspace_id)


def values(row: models.Model, spec: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A row's columns as JSON, without secrets. An agent's are those of its current version too.

    ``spec``: that version's, where the caller has it; it is read otherwise.
    """
    found = {
        field.attname: _plain(getattr(row, field.attname))
        for field in row._meta.concrete_fields
        if field.name not in LEFT_OUT and not isinstance(field, models.BinaryField)
    }
    versions = getattr(row, "versions", None)
    number = getattr(row, "version", None)
    if spec is None and versions is not None and isinstance(number, int):
        spec = versions.filter(version=number).values_list("spec", flat=True).first()
    return found | {name: _plain(value) for name, value in (spec or {}).items()}


def _plain(value: Any) -> Any:
    """A value as JSON keeps it; a long text is cut."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST else f"{value[:LONGEST]}… ({len(value)} characters)"
    if value is None or isinstance(value, bool | int | float | list | dict):
        return value
    return DjangoJSONEncoder().default(value)


def _id_of(result: object, kind: str) -> str:
    """The id of what an action returned: a row, one that names it, or a pair that begins with it."""
    row = result[0] if isinstance(result, tuple) else result
    if isinstance(row, models.Model):
        if row._meta.label == kind:
            return str(row.pk)
        for field in row._meta.concrete_fields:
            if isinstance(field, models.ForeignKey) and field.related_model._meta.label == kind:
                return str(getattr(row, field.attname))
    return str(getattr(row, "id", ""))


class OnRecord:
    """Mixed into a ``ModelAdmin``: what is added, changed and deleted there is on the audit log too."""

    def get_object(self, request: Any, object_id: str, from_field: str | None = None) -> Any:
        found = super().get_object(request, object_id, from_field)  # type: ignore[misc]
        if found is not None:
            request.audited_before = values(found)
        return found

    def log_addition(self, request: Any, obj: Any, message: Any) -> Any:
        self._record(request, obj, "added", None, values(obj))
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: Any, obj: Any, message: Any) -> Any:
        after = {**values(obj), "changed": message}
        self._record(request, obj, "changed", getattr(request, "audited_before", None), after)
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def log_deletions(self, request: Any, queryset: Any) -> Any:
        for obj in queryset:
            self._record(request, obj, "deleted", values(obj), None)
        return super().log_deletions(request, queryset)  # type: ignore[misc]

    def _record(self, request: Any, obj: Any, verb: str, before: Any, after: Any) -> None:
        workspace_id = obj.pk if obj._meta.label == "agents.Workspace" else getattr(obj, "workspace_id", "")
        acting = Acting(str(workspace_id), Role.ADMIN, request.user.get_username(), user_id=request.user.pk)
        action = f"{obj._meta.model_name}.{verb}_in_admin"
        record(acting, action, obj._meta.label, str(obj.pk), before, after)
