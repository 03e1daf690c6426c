"""How one signs in to an MCP server: its own description and that of its authorization server (RFC 9728, RFC 8414)."""

from __future__ import annotations

import json
from dataclasses import dataclass

import httpx2
from mcp.client.auth import utils
from mcp.client.auth.exceptions import OAuthFlowError
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthMetadata, ProtectedResourceMetadata
from mcp.shared.auth_utils import check_resource_allowed, resource_url_from_server_url
from pydantic import AnyUrl, ValidationError

from contract.errors import InvalidRequest
from credentials.dialling import AddressRefused, Line, Reply, Unreachable
from credentials.handshake import OPENING

SECONDS = 30.0
METHOD = "S256"
JSON = {"accept": "application/json", "content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Signposts:
    """Where to sign in. ``resource`` is what the token is asked for, ``scope`` what the server wants it to allow."""

    metadata: OAuthMetadata
    resource: str
    scope: str | None


def signposts(url: str) -> Signposts:
    """Ask the server at ``url`` where one signs in. Raises ``InvalidRequest`` with what is wrong."""
    with Line(SECONDS) as line:
        refused = _probe(line, url)
        described = _resource(line, url, utils.extract_resource_metadata_from_www_auth(refused))
        issuer = str(described.authorization_servers[0]) if described is not None else None
        metadata = _metadata(line, url, issuer)
    if METHOD not in (metadata.code_challenge_methods_supported or [METHOD]):
        raise InvalidRequest("url: the server's sign-in doesn't know PKCE with S256, without which it is not safe")
    wanted = utils.extract_scope_from_www_auth(refused)
    scope = utils.get_client_metadata_scopes(wanted, described, metadata, ["authorization_code", "refresh_token"])
    resource = str(described.resource) if described is not None else resource_url_from_server_url(url)
    return Signposts(metadata, resource, scope)


def register(found: Signposts, redirect_uri: str) -> OAuthClientInformationFull:
    """Register us (RFC 7591). Raises ``InvalidRequest``."""
    if found.metadata.registration_endpoint is None:
        raise InvalidRequest(
            "client_id: the server registers no clients by itself; make one with its operator and give its id here"
        )
    asked = OAuthClientMetadata(
        redirect_uris=[AnyUrl(redirect_uri)],
        client_name="Holdfast",
        token_endpoint_auth_method="none",  # noqa: S106  the name of a method
        grant_types=["authorization_code", "refresh_token"],
        application_type="web",
        scope=found.scope,
    )
    with Line(SECONDS) as line:
        body = asked.model_dump_json(by_alias=True, exclude_none=True).encode()
        reply = _send(line, "POST", str(found.metadata.registration_endpoint), body)
    if reply.status not in (200, 201):
        raise InvalidRequest(f"url: the server refused to register a client (HTTP {reply.status})")
    try:
        return OAuthClientInformationFull.model_validate_json(reply.body)
    except ValidationError:
        raise InvalidRequest("url: the server's answer to the registration is not what the standard says") from None


def _probe(line: Line, url: str) -> httpx2.Response:
    """The server's answer to somebody without a token."""
    opening = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": OPENING}
    headers = {**JSON, "accept": "application/json, text/event-stream"}
    reply = _send(line, "POST", url, json.dumps(opening).encode(), headers)
    if reply.status == 200:
        raise InvalidRequest("url: the server wants no sign-in; it can be used without a credential")
    return httpx2.Response(reply.status, headers=reply.headers)


def _resource(line: Line, url: str, named: str | None) -> ProtectedResourceMetadata | None:
    for place in utils.build_protected_resource_metadata_discovery_urls(named, url):
        reply = _send(line, "GET", place)
        if reply.status != 200:
            continue
        try:
            found = ProtectedResourceMetadata.model_validate_json(reply.body)
        except ValidationError:
            continue
        if not check_resource_allowed(resource_url_from_server_url(url), str(found.resource)):
            raise InvalidRequest("url: the server describes itself as another one; that is not safe to sign in to")
        return found
    return None


def _metadata(line: Line, url: str, issuer: str | None) -> OAuthMetadata:
    for place in utils.build_oauth_authorization_server_metadata_discovery_urls(issuer, url):
        reply = _send(line, "GET", place)
        if reply.status != 200:
            continue
        try:
            found = OAuthMetadata.model_validate_json(reply.body)
        except ValidationError:
            continue
        try:
            if issuer is not None:
                utils.validate_metadata_issuer(found, issuer)
        except OAuthFlowError:
            raise InvalidRequest("url: the authorization server describes itself as another one") from None
        return found
    raise InvalidRequest("url: the server doesn't say where to sign in; keep a token for it instead")


def _send(line: Line, method: str, url: str, body: bytes = b"", headers: dict[str, str] = JSON) -> Reply:
    try:
        return line.send(method, url, headers, body)
    except AddressRefused:
        raise InvalidRequest(
            "url: a host on the way to the sign-in stands for an address that is not public; the operator of this "
            "installation can permit its network with ALLOW_NETWORKS"
        ) from None
    except Unreachable as error:
        raise InvalidRequest(f"url: the server could not be reached ({error})") from None
