"""What makes and changes webhook endpoints (spec advanced 15.3), and delivers again by hand."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agents.models import Workspace
from contract import audit
from contract.errors import InvalidRequest, NotFound
from contract.roles import Permission
from credentials import addresses, crypto
from credentials.dialling import AddressRefused, Unreachable, resolve
from sessions.models import WebhookDelivery, WebhookEndpoint
from sessions.models.webhooks import DISABLED, ENABLED, PENDING
from sessions.webhooks import kinds, signing
from sessions.webhooks.delivery import disable, lock
from sessions.webhooks.wake import wake

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contract.acting import Acting

MAX_ENDPOINTS = 32
MAX_URL = 2048
MAX_NAME = 256
MAX_DESCRIPTION = 2048
LOOK_UP_SECONDS = 5.0


def find(endpoint_id: str, acting: Acting, *, organization: bool) -> WebhookEndpoint:
    acting.require(Permission.ADMINISTER)
    rows = WebhookEndpoint.objects.filter(workspace_id=acting.workspace_id, organization=organization)
    endpoint = rows.filter(pk=endpoint_id).first()
    if endpoint is None:
        raise NotFound(f"There is no webhook endpoint {endpoint_id} in this workspace.")
    return endpoint


@audit.logged("webhook.created", "agent_sessions.WebhookEndpoint")
def create(body: Mapping[str, Any], acting: Acting, *, organization: bool) -> tuple[WebhookEndpoint, str]:
    """A new endpoint and its signing secret, which is never to be had again."""
    acting.require(Permission.ADMINISTER)
    now = timezone.now()
    if not body["enabled_events"]:
        raise InvalidRequest("enabled_events: must name at least one event type")
    endpoint = WebhookEndpoint(
        workspace_id=acting.workspace_id,
        organization=organization,
        created_by_id=acting.user_id,
        created_at=now,
        updated_at=now,
        **_fields(body, organization=organization),
    )
    secret = _new_secret(endpoint)
    with transaction.atomic():
        Workspace.hold(acting.workspace_id)
        mine = WebhookEndpoint.objects.filter(workspace_id=acting.workspace_id, organization=organization)
        if mine.count() >= MAX_ENDPOINTS:
            raise InvalidRequest(f"There are {MAX_ENDPOINTS} webhook endpoints, and no more are allowed; delete one.")
        endpoint.save(force_insert=True)
    return endpoint, secret


@audit.logged("webhook.updated", "agent_sessions.WebhookEndpoint", "endpoint_id")
def update(endpoint_id: str, body: Mapping[str, Any], acting: Acting, *, organization: bool) -> WebhookEndpoint:
    """Change what was sent. Enabling forgets why the endpoint was disabled; what it missed stays missed."""
    find(endpoint_id, acting, organization=organization)
    fields = _fields(body, organization=organization)
    with transaction.atomic():
        endpoint = _locked(endpoint_id)
        for name, value in fields.items():
            setattr(endpoint, name, value)
        endpoint.updated_at = timezone.now()
        if body.get("state") == ENABLED:
            endpoint.state, endpoint.disabled_reason, endpoint.failing_since = ENABLED, "", None
        endpoint.save()
        if body.get("state") == DISABLED and endpoint.state == ENABLED:
            disable(endpoint, "")
    return endpoint


@audit.logged("webhook.deleted", "agent_sessions.WebhookEndpoint", "endpoint_id")
def delete(endpoint_id: str, acting: Acting, *, organization: bool) -> None:
    find(endpoint_id, acting, organization=organization)
    with transaction.atomic():
        _locked(endpoint_id).delete()


@audit.logged("webhook.secret_renewed", "agent_sessions.WebhookEndpoint", "endpoint_id", always=True)
def regenerate_secret(endpoint_id: str, acting: Acting, *, organization: bool) -> str:
    """A new signing secret; the old one signs nothing from now on."""
    endpoint = find(endpoint_id, acting, organization=organization)
    secret = _new_secret(endpoint)
    endpoint.updated_at = timezone.now()
    endpoint.save(update_fields=["sealed_secret", "updated_at"])
    return secret


def redeliver(endpoint_id: str, delivery_id: str, acting: Acting) -> WebhookDelivery:
    """Send an event once more to a workspace's endpoint, under its own id, with three attempts."""
    find(endpoint_id, acting, organization=False)
    with transaction.atomic():
        endpoint = _locked(endpoint_id)
        delivery = WebhookDelivery.objects.select_for_update().filter(pk=delivery_id, endpoint=endpoint).first()
        if delivery is None:
            raise NotFound(f"Webhook endpoint {endpoint_id} has no delivery {delivery_id}.")
        if endpoint.state != ENABLED:
            raise InvalidRequest("The endpoint is disabled; enable it, then deliver again.")
        if delivery.state == PENDING:
            raise InvalidRequest("This delivery is still under way.")
        delivery.state, delivery.attempts, delivery.finished_at = PENDING, 0, None
        delivery.next_attempt_at = timezone.now()
        delivery.save(update_fields=["state", "attempts", "finished_at", "next_attempt_at"])
        transaction.on_commit(lambda: wake(endpoint_id))
    return delivery


def _locked(endpoint_id: str) -> WebhookEndpoint:
    endpoint = lock(endpoint_id)
    if endpoint is None:
        raise NotFound(f"The webhook endpoint {endpoint_id} has just been deleted.")
    return endpoint


def _new_secret(endpoint: WebhookEndpoint) -> str:
    secret = signing.new_secret()
    endpoint.sealed_secret = crypto.seal(secret, endpoint.pk)
    return secret.reveal()


def _fields(body: Mapping[str, Any], *, organization: bool) -> dict[str, Any]:
    """What was sent, found good. Looks the host up, so not for transactions. No event types at all means unchanged."""
    found = {field: body[field] for field in ("name", "description") if field in body}
    for field, most in (("name", MAX_NAME), ("description", MAX_DESCRIPTION)):
        if len(found.get(field, "")) > most:
            raise InvalidRequest(f"{field}: must be at most {most} characters long")
    if body.get("enabled_events"):
        found["enabled_events"] = _event_types(body["enabled_events"], organization=organization)
    if "url" in body:
        found["url"] = _url(body["url"])
    return found


def _event_types(names: list[str], *, organization: bool) -> list[str]:
    known = kinds.ORGANIZATION if organization else frozenset(kinds.shapes())
    for place, name in enumerate(names):
        if name not in known:
            raise InvalidRequest(f"enabled_events.{place}: {name[:64]!r} is not an event type")
    return sorted(set(names))


def _url(url: str) -> str:
    """An address of another machine by HTTPS. Inside ``ALLOW_NETWORKS`` plain HTTP and any port will do."""
    parts = _parsed(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    try:
        found = resolve(host, port, LOOK_UP_SECONDS)
    except AddressRefused:
        raise InvalidRequest("url: its host stands for an address that is not public (see ALLOW_NETWORKS)") from None
    except Unreachable as error:
        raise InvalidRequest(f"url: its host can't be found: {error}") from None
    allowed = addresses.networks(settings.HOLDFAST_ALLOWED_NETWORKS)
    own = all(any(ip_address(address.partition("%")[0]) in network for network in allowed) for address in found)
    if not own and not secure:
        raise InvalidRequest("url: must be an https:// URL")
    if not own and port != 443:
        raise InvalidRequest("url: must use port 443")
    return url


def _parsed(url: str) -> Any:
    if len(url) > MAX_URL or not url.isascii() or any(not char.isprintable() or char == " " for char in url):
        raise InvalidRequest(f"url: must be at most {MAX_URL} printable ASCII characters without blanks")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidRequest("url: can't be read as a URL") from None
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise InvalidRequest("url: must be an https:// URL with a host")
    if parts.username is not None or parts.fragment:
        raise InvalidRequest("url: must hold neither a user name nor a fragment")
    return parts
