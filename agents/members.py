"""Members of a workspace: who they are, and inviting, promoting and removing them. An admin always remains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from agents.models import Membership, Workspace
from contract import audit
from contract.acting import Acting
from contract.errors import Conflict, InvalidRequest, NotFound
from contract.roles import Permission, Role
from contract.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.models import QuerySet

LAST_ADMIN = "This is the last admin of the workspace. Make somebody else an admin first."
KIND = "agents.Membership"


def members(acting: Acting) -> QuerySet[Membership]:
    """Everybody of the workspace, first come first. Each row knows ``second_factor`` and ``by_provider`` too."""
    acting.require(Permission.ADMINISTER)
    mine = OuterRef("user_id")
    rows = Membership.objects.filter(workspace_id=acting.workspace_id).select_related("user")
    return rows.annotate(
        second_factor=Exists(Authenticator.objects.filter(user=mine).exclude(type=Authenticator.Type.RECOVERY_CODES)),
        by_provider=Exists(SocialAccount.objects.filter(user=mine)),
    ).order_by("created_at", "pk")


def find(member_id: str, acting: Acting) -> Membership:
    """One member. Raises ``NotFound``, for members of other workspaces too."""
    numbers = member_id.isascii() and member_id.isdigit() and len(member_id) < 19
    found = members(acting).filter(pk=int(member_id)).first() if numbers else None
    if found is None:
        raise NotFound(f"There is no member {member_id} here.")
    return found


@audit.logged("member.added", KIND)
def add(body: Mapping[str, Any], acting: Acting) -> tuple[Membership, bool]:
    """Make ``body["username"]`` a member with ``body["role"]``; True if the person is new to the installation.

    A new person has no password: they set one by ``join_link``. Raises ``InvalidRequest`` naming the field.
    """
    acting.require(Permission.ADMINISTER)
    user, created = _person(str(body["username"]).strip(), str(body.get("email") or "").strip())
    if Membership.objects.filter(workspace_id=acting.workspace_id, user=user).exists():
        raise InvalidRequest(f"username: {user.get_username()} is a member already.")
    role = _role(body["role"])
    return Membership.objects.create(workspace_id=acting.workspace_id, user=user, role=role.value), created


@audit.logged("member.role_changed", KIND, by="member_id", within="workspace")
def change_role(member_id: str, role: str, acting: Acting) -> Membership:
    """Give a member another role. Whoever loses rights by it is signed out everywhere."""
    acting.require(Permission.ADMINISTER)
    _lock(acting)
    member = find(member_id, acting)
    wanted = _role(role)
    if wanted is not Role.ADMIN:
        check_not_last(member)
    member.role = wanted.value
    member.save(update_fields=["role"])
    return member


@audit.logged("member.removed", KIND, by="member_id", within="workspace")
def remove(member_id: str, acting: Acting) -> Membership:
    """Take a member out of the workspace: their sign-ins and sockets end at once, what they made stays."""
    acting.require(Permission.ADMINISTER)
    _lock(acting)
    member = find(member_id, acting)
    check_not_last(member)
    gone = member.pk
    member.delete()
    member.pk = gone
    return member


@audit.logged("member.link_made", KIND, by="member_id", within="workspace", always=True)
def join_link(member_id: str, acting: Acting) -> Secret:
    """A link by which the member sets a password, once, within three days. It voids the ones before.

    Only for people of this workspace alone, with no rights over the installation: it would else be a way into other
    workspaces. Raises ``Conflict``.
    """
    acting.require(Permission.ADMINISTER)
    member = find(member_id, acting)
    user = cast("Any", member.user)
    if user.is_superuser or user.is_staff:
        raise Conflict("This person looks after the installation; their password is set in the admin.")
    if Membership.objects.filter(user=user).exclude(pk=member.pk).exists():
        raise Conflict("This person belongs to other workspaces too; their password is set in the admin.")
    if SocialAccount.objects.filter(user=user).exists():
        raise Conflict("This person signs in at the provider of single sign-on and has no password here.")
    who = urlsafe_base64_encode(force_bytes(user.pk))
    path = reverse("join", args=[who, default_token_generator.make_token(user)])
    return Secret(f"{settings.HOLDFAST_PUBLIC_URL}{path}")


def follow_groups(user: Any, workspace_id: str, role: Role | None, held: Membership | None, by: str) -> None:
    """Make a membership what the provider's groups say; ``role`` None takes it away. On record as ``by``."""
    acting = Acting(workspace_id, Role.ADMIN, by)
    before = audit.values(held) if held else None
    if role is None:
        if held is not None:
            pk = str(held.pk)
            held.delete()
            audit.record(acting, "member.removed", KIND, pk, before)
    elif held is None:
        made = Membership.objects.create(workspace_id=workspace_id, user=user, role=role.value)
        audit.record(acting, "member.added", KIND, str(made.pk), None, audit.values(made))
    elif held.role != role.value:
        held.role = role.value
        held.save(update_fields=["role"])
        audit.record(acting, "member.role_changed", KIND, str(held.pk), before, audit.values(held))


def _person(username: str, email: str) -> tuple[Any, bool]:
    model = get_user_model()
    found = model.objects.filter(username=username).first()
    if found is not None:
        return found, False
    user = model(username=username, email=email)
    user.set_unusable_password()
    try:
        user.full_clean(exclude=["password"])
    except ValidationError as error:
        name, said = next(iter(error.message_dict.items()))
        raise InvalidRequest(f"{name}: {said[0]}") from None
    with transaction.atomic():
        user.save()
    return user, True


def _role(text: Any) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise InvalidRequest(f"role: {text} is none of {', '.join(role.value for role in Role)}.") from None


def _lock(acting: Acting) -> None:
    """One change of a workspace's members after another, so that two admins can't remove each other at once."""
    Workspace.objects.select_for_update().get(pk=acting.workspace_id)


def check_not_last(member: Membership) -> None:
    """Raise ``Conflict`` if the workspace would be without an admin but for ``member``."""
    if is_last_admin(member):
        raise Conflict(LAST_ADMIN)


def is_last_admin(member: Membership) -> bool:
    """Whether nobody else could look after the workspace."""
    if member.role != Role.ADMIN.value:
        return False
    others = Membership.objects.filter(workspace_id=member.workspace_id, role=Role.ADMIN.value, user__is_active=True)
    return not others.exclude(pk=member.pk).exists()
