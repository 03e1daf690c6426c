"""What stands around every page: the navigation and the table of shortcuts."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from django import template
from django.urls import NoReverseMatch, reverse

from contract import shortcuts
from contract.places import GROUPS, PLACES, Place
from contract.roles import may

if TYPE_CHECKING:
    from contract.acting import Acting

register = template.Library()


class Link(NamedTuple):
    """A place with its address; ``here`` on the page one is in."""

    place: Place
    href: str
    here: bool


@cache
def address(name: str) -> str | None:
    """The address of a place; None while no page has that URL name."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return None


# Pages that show one object, and the object's place in the admin.
IN_ADMIN = {
    "sessions:session": "agent_sessions_session",
    "sessions:schedule": "agent_sessions_deployment",
    "sessions:webhook": "agent_sessions_webhookendpoint",
    "sessions:credential": "credentials_credential",
    "credentials:vault": "credentials_vault",
    "credentials:keys": "credentials_apikey",
    "credentials:audit": "credentials_auditrecord",
    "agents:agent": "agents_agent",
    "agents:version": "agents_agent",
    "agents:store": "agents_memorystore",
    "agents:skill": "agents_skill",
    "sessions:dream": "agent_sessions_dream",
    "sessions:approval": "agent_sessions_approval",
    "agents:environment": "agents_environment",
    "sessions:members": "agents_membership",
}


@register.simple_tag(takes_context=True)
def admin_address(context: template.Context) -> str:
    """Where the admin shows what this page shows; its front page for the others."""
    match = getattr(context.get("request"), "resolver_match", None)
    model = IN_ADMIN.get(match.view_name) if match else None
    if match is None or model is None:
        return reverse("admin:index")
    if match.kwargs:
        return reverse(f"admin:{model}_change", args=[next(iter(match.kwargs.values()))])
    return reverse(f"admin:{model}_changelist")


@register.simple_tag(takes_context=True)
def places(context: template.Context) -> list[tuple[str, list[Link]]]:
    """``{% places as groups %}``: (group, links) of what exists and the reader's role may see."""
    request = context.get("request")
    acting: Acting | None = getattr(request, "acting", None)
    shown = {place: href for place in PLACES if may_see(acting, place) and (href := address(place.url))}
    here = where(request.path if request else "", [*shown.values(), *(place.also for place in shown if place.also)])
    links = {place: Link(place, href, here != "" and here in (href, place.also)) for place, href in shown.items()}
    groups = [(name, [links[place] for place in group if place in links]) for name, group in GROUPS.items()]
    return [(name, found) for name, found in groups if found]


def may_see(acting: Acting | None, place: Place) -> bool:
    return acting is not None and may(acting.role, place.permission)


def where(path: str, addresses: list[str]) -> str:
    """The longest of ``addresses`` that ``path`` begins with; the root only for itself."""
    inside = [one for one in addresses if path == one or (one != "/" and path.startswith(one))]
    return max(inside, key=len, default="")


@register.simple_tag
def shortcut_sections() -> dict[str, list[dict[str, Any]]]:
    """``{% shortcut_sections as sections %}``: what each key does, without jumps to pages that don't exist."""
    gone = {f"g {place.key}" for place in PLACES if address(place.url) is None}
    return {
        name: [{"keys": one.keys.split(), "does": one.does} for one in rows if one.keys not in gone]
        for name, rows in shortcuts.SECTIONS.items()
    }
