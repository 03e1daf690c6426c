"""Public MCP servers that we did not write: the reference server over both transports, and one behind a sign-in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from agents.mcp import content, loop
from agents.mcp.base import NotAuthorised
from agents.mcp.pool import Pool
from agents.models import Workspace
from contract.acting import Acting
from contract.roles import Role
from credentials import mcp_signin, servers, vaults
from credentials.lending import Borrower
from tests.agents.mcp import node
from tests.agents.mcp.test_pool import SECONDS, call, reach

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = node.needs_node
BACK = "http://127.0.0.1:8400/vaults/signed-in/"


@pytest.fixture(autouse=True)
def here_is_permitted(settings: Any) -> None:
    settings.HOLDFAST_ALLOWED_NETWORKS = ("127.0.0.1",)


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(loop.shared())
    yield made
    made.close()


@pytest.mark.parametrize(("transport", "path"), [("streamableHttp", "/mcp"), ("sse", "/sse")])
def test_the_reference_server_lists_and_answers(pool: Pool, transport: str, path: str) -> None:
    with node.everything(transport, path) as url:
        listing = pool.tools(reach(url)).result(SECONDS)
        assert "echo" in {tool.name for tool in listing.tools}
        assert all(tool.is_sound for tool in listing.tools)
        assert "hello" in call(pool, reach(url), "echo", message="hello")
        answer = pool.call(reach(url), "get-tiny-image", {}, SECONDS).result(SECONDS)
        assert "image" in {block["type"] for block in content.blocks(answer)}
        assert "5" in call(pool, reach(url), "get-sum", a=2, b=3)
        assert pool.call(reach(url), "get-sum", {"a": "x"}, SECONDS).result(SECONDS)["isError"]


def test_the_example_behind_a_sign_in_opens_with_a_credential_of_a_vault(db: None, pool: Pool) -> None:
    acting = Acting(Workspace.objects.create(name="W").pk, Role.ADMIN, "alice")
    vault = vaults.create_vault({"display_name": "V"}, acting).pk
    with node.signing_in() as url:
        with pytest.raises(NotAuthorised):
            pool.tools(reach(url)).result(SECONDS)
        begun = mcp_signin.start(vault, {"url": url}, BACK, acting)
        answer = httpx2.get(begun.address, follow_redirects=False)
        brought = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
        mcp_signin.finish(begun.state, begun.sealed, brought, acting)
        key = servers.key_for(Borrower(acting.workspace_id, [vault], "agent_1", "sesn_1"), url)
        assert key is not None
        listing = pool.tools(reach(url, key.token.reveal(), "sesn_2")).result(SECONDS)
        assert "greet" in {tool.name for tool in listing.tools}
        assert "Ada" in call(pool, reach(url, key.token.reveal(), "sesn_2"), "greet", name="Ada")
