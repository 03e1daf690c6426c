"""Signing in to a real MCP server with its own authorization server: the whole way, and every wrong turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import pytest

from agents.mcp import loop
from agents.mcp.base import Access
from agents.mcp.pool import Pool
from agents.models import Workspace
from contract.acting import Acting
from contract.errors import InvalidRequest, PermissionDenied
from contract.roles import Role
from credentials import mcp_signin, servers, vaults
from credentials.lending import Borrower
from credentials.models import Credential
from credentials.outbound import CheckedTransport
from tests.agents.mcp import peer as peers
from tests.credentials import servers as scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credentials.mcp_signin import Start
    from tests.agents.mcp.peer import Peer
    from tests.credentials.servers import Server

BACK = "http://127.0.0.1:8400/vaults/signed-in/"


@pytest.fixture(autouse=True)
def here_is_permitted(settings: Any) -> None:
    settings.HOLDFAST_ALLOWED_NETWORKS = ("127.0.0.1",)


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with peers.running(OAUTH="register") as running:
        yield running


@pytest.fixture
def server() -> Iterator[Server]:
    yield from scripted.running()


@pytest.fixture
def acting(db: None) -> Acting:
    return Acting(Workspace.objects.create(name="W").pk, Role.ADMIN, "alice")


@pytest.fixture
def vault_id(acting: Acting) -> str:
    return vaults.create_vault({"display_name": "V"}, acting).pk


def come_back(begun: Start) -> dict[str, str]:
    """What the authorization server tells the person's browser to bring."""
    answer = httpx2.get(begun.address, follow_redirects=False)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(BACK)
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def test_a_person_signs_in_and_the_credential_opens_the_server_and_renews_itself(
    acting: Acting, vault_id: str, peer: Peer
) -> None:
    begun = mcp_signin.start(vault_id, {"url": peer.url, "name": "Mine"}, BACK, acting)
    asked = {name: value[0] for name, value in parse_qs(urlsplit(begun.address).query).items()}
    assert (asked["code_challenge_method"], asked["resource"]) == ("S256", peer.url)
    assert begun.host == f"127.0.0.1:{peer.port}"
    credential = mcp_signin.finish(begun.state, begun.sealed, come_back(begun), acting)
    assert (credential.display_name, credential.auth["mcp_server_url"]) == ("Mine", peer.url)
    assert credential.auth["refresh"]["resource"] == peer.url
    assert "access-" not in str(credential.auth) + begun.sealed + begun.address

    borrower = Borrower(acting.workspace_id, [vault_id], "agent_1", "sesn_1")
    key = servers.key_for(borrower, peer.url)
    assert key is not None
    pool = Pool(loop.shared())
    for held in (key, servers.renewed(borrower, key)):
        access = Access("sesn_1", "peer", peer.url, held.token, CheckedTransport, str)
        if held.was_renewed:
            assert "echo" in {tool.name for tool in pool.tools(access).result(60).tools}
    pool.close()
    kept = vaults.secrets_of(Credential.objects.get(pk=credential.pk))
    assert kept["access_token"] != key.token


def test_signing_in_again_replaces_the_credential(acting: Acting, vault_id: str, peer: Peer) -> None:
    made = []
    for _ in range(2):
        begun = mcp_signin.start(vault_id, {"url": peer.url}, BACK, acting)
        made.append(mcp_signin.finish(begun.state, begun.sealed, come_back(begun), acting).pk)
    active = Credential.objects.filter(vault_id=vault_id, archived_at=None)
    assert [one.pk for one in active] == made[1:]


def test_an_answer_that_was_not_asked_for_counts_for_nothing(acting: Acting, vault_id: str, peer: Peer) -> None:
    begun = mcp_signin.start(vault_id, {"url": peer.url}, BACK, acting)
    answer = come_back(begun)

    def refused(state: str = begun.state, sealed: str = begun.sealed, by: Acting = acting, **changed: str) -> str:
        with pytest.raises(InvalidRequest) as error:
            mcp_signin.finish(state, sealed, {**answer, **changed}, by)
        return error.value.message

    other = mcp_signin.start(vault_id, {"url": peer.url}, BACK, acting)
    assert "not started here" in refused(state=other.state)
    assert "not started here" in refused(sealed="AAAA")
    assert "somebody else" in refused(by=Acting(acting.workspace_id, Role.ADMIN, "bob", user_id=7))
    assert "another authorization server" in refused(iss="https://evil.example")
    assert "did not let you in: no, not you" in refused(error="access_denied", error_description="no, not you")
    assert "without a code" in refused(code="")
    assert "gave no token" in refused(code="made-up")
    assert not Credential.objects.filter(vault_id=vault_id).exists()


def test_a_sign_in_that_took_too_long_is_over(
    acting: Acting, vault_id: str, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_signin, "PATIENCE", -mcp_signin.PATIENCE)
    begun = mcp_signin.start(vault_id, {"url": peer.url}, BACK, acting)
    with pytest.raises(InvalidRequest, match="took too long"):
        mcp_signin.finish(begun.state, begun.sealed, come_back(begun), acting)


def test_a_server_without_registration_takes_a_client_that_is_given(acting: Acting, vault_id: str) -> None:
    with peers.running(OAUTH="closed") as closed:
        with pytest.raises(InvalidRequest, match="client_id"):
            mcp_signin.start(vault_id, {"url": closed.url}, BACK, acting)
        begun = mcp_signin.start(vault_id, {"url": closed.url, "client_id": "ours"}, BACK, acting)
    assert parse_qs(urlsplit(begun.address).query)["client_id"] == ["ours"]


def test_servers_that_need_no_sign_in_or_say_nothing_of_one_are_told_apart(
    acting: Acting, vault_id: str, server: Server
) -> None:
    def refused(url: str) -> str:
        with pytest.raises(InvalidRequest) as error:
            mcp_signin.start(vault_id, {"url": url}, BACK, acting)
        return error.value.message

    assert "doesn't say where to sign in" in refused(server.url)
    server.script.tokens = {""}
    assert "wants no sign-in" in refused(server.url)
    assert refused("http://127.0.0.1:9/mcp").startswith("url: the server could not be reached")
    assert refused("ftp://example.com").startswith("url: must be a URL")


def test_addresses_inside_are_not_asked(acting: Acting, vault_id: str, peer: Peer, settings: Any) -> None:
    settings.HOLDFAST_ALLOWED_NETWORKS = ()
    with pytest.raises(InvalidRequest, match="ALLOW_NETWORKS"):
        mcp_signin.start(vault_id, {"url": peer.url}, BACK, acting)


def test_only_administrators_sign_in(acting: Acting, vault_id: str, peer: Peer) -> None:
    developer = Acting(acting.workspace_id, Role.DEVELOPER, "dev")
    with pytest.raises(PermissionDenied):
        mcp_signin.start(vault_id, {"url": peer.url}, BACK, developer)
