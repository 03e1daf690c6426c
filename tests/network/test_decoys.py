"""Decoys of every kind of secret are planted and used; then everything that is kept or shown is searched for them.

Found must be nothing, anywhere but in the servers that were meant to get them.
"""

from __future__ import annotations

import base64
import contextlib
import re
import urllib.request
from datetime import UTC, datetime, timedelta
from http.cookiejar import CookieJar
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import psycopg
import pytest
import redis
import zstandard
from psycopg import sql

from config import places
from tests.agents.mcp import peer as peers
from tests.credentials import servers as scripted
from tests.credentials.egress.rig import Server
from tests.live import wait_for
from tests.network.gitserver import GitHost
from tests.network.test_secrets import FETCH, SECRET, variable, vault
from tests.network.upstream import LIMITED, METRICS_TOKEN, MODEL_KEY, WORLD, environment, operator_events, run
from tests.sdk.talk import TOOLSET, Talk, client_of, only, said

if TYPE_CHECKING:
    from collections.abc import Iterator

    import anthropic

    from tests.live import Installation

DECOYS = {
    "variable": SECRET,
    "bearer": "decoy-bearer-9a7c5e3b1d2f4a6c8e0b",
    "access": "decoy-access-9a7c5e3b1d2f4a6c8e0b",
    "stale": "decoy-stale-9a7c5e3b1d2f4a6c8e0b",
    "refresh": "decoy-refresh-9a7c5e3b1d2f4a6c8e0b",
    "client": "decoy-client-9a7c5e3b1d2f4a6c8e0b",
    "metrics": METRICS_TOKEN,
    "model": MODEL_KEY,
    "repository": "ghp_decoy9a7c5e3b1d2f4a6c8e0b9a7c5e3b",
}
# Run inside. The word searched for is coded, so that the search does not find itself.
COUNT = """python3 - <<'END'
import os
found = 0
for top in ('/proc', '/workspace', '/home', '/tmp', '/etc', '/run', '/mnt'):
    for directory, _, names in os.walk(top):
        for name in names:
            # Of the kernel's files those about processes: others block, or never end.
            if top == '/proc' and name not in ('environ', 'cmdline', 'comm', 'mountinfo', 'status'):
                continue
            try:
                with open(os.path.join(directory, name), 'rb') as file:
                    found += file.read(1 << 20).count(bytes.fromhex('{marker}'))
            except OSError:
                continue
print('found', found)
END"""
MARK = "decoy"


def plant(client: anthropic.Anthropic, one_url: str, two_url: str, token_endpoint: str) -> tuple[str, Any]:
    """A vault with a credential of every kind; the grant's access token is over, so that it is renewed first."""
    one = vault(client)
    row = variable(client, one)
    bearer: Any = {"type": "static_bearer", "mcp_server_url": one_url, "token": DECOYS["bearer"]}
    refresh = {
        "client_id": "holdfast",
        "refresh_token": DECOYS["refresh"],
        "token_endpoint": token_endpoint,
        "token_endpoint_auth": {"type": "client_secret_basic", "client_secret": DECOYS["client"]},
    }
    oauth: Any = {
        "type": "mcp_oauth",
        "mcp_server_url": two_url,
        "access_token": DECOYS["stale"],
        "expires_at": (datetime.now(UTC) + timedelta(seconds=20)).isoformat(),  # less than a token must live to be used
        "refresh": refresh,
    }
    client.beta.vaults.credentials.create(one, auth=bearer)
    client.beta.vaults.credentials.create(one, auth=oauth)
    return one, row


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("profile", ["online", "production"])
def test_no_secret_is_kept_or_shown_anywhere_and_each_arrived(
    profile: str, secure: Server, model_server: Server, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    online: Installation = request.getfixturevalue(profile)
    client = client_of(online)
    host = GitHost(tmp_path)
    host.make("octo/demo")
    host.tokens = {DECOYS["repository"]}
    code = Server(WORLD, address=WORLD)
    code.respond = host.answer
    repository: Any = {
        "type": "github_repository",
        "url": f"https://{WORLD}:{code.port}/octo/demo",
        "authorization_token": DECOYS["repository"],
    }
    try:
        talk, row = _begun(client, repository)
        # The server says back what it got, and the agent keeps that: in a file, an output, its conversation.
        fetch = FETCH.format(host=WORLD, port=secure.port)
        run(talk, f"{fetch} | tee kept.txt /mnt/session/outputs/kept.txt; git -C demo fetch -v 2>&1; env")
        inside = run(talk, COUNT.format(marker=MARK.encode().hex()))
        database = run(talk, COUNT.format(marker=places.runtime_dir(online.data_dir).as_posix().encode().hex()))
    finally:
        code.stop()
    assert "found 0" in database
    assert [one.id for one in client.models.list()] == ["demo"]
    assert {one.headers["authorization"] for one in model_server.seen} == {f"Bearer {DECOYS['model']}"}
    assert SECRET in secure.seen[0].headers["authorization"]
    assert SECRET.encode() in secure.seen[0].body
    assert DECOYS["repository"] in host.used
    assert "found 0" in inside
    _wait_for_snapshot(talk)
    everything = dict(everything_kept(online))
    assert len(everything) > 20
    everything["the session as the API shows it"] = str(operator_events(talk)).encode()
    everything |= dict(pages(online, talk.id, row.id))
    own = [online.api_key, *_installations_own(online)]
    wanted = [*DECOYS.values(), *own]
    found = [(place, word[:12]) for place, data in everything.items() for word in wanted if _holds(data, word)]
    assert found == []


def _begun(client: anthropic.Anthropic, repository: Any) -> tuple[Talk, Any]:
    """A session that has used the credentials of two MCP servers, which let in nobody without the true tokens."""
    bearer, access = DECOYS["bearer"], DECOYS["access"]
    with (
        contextlib.contextmanager(scripted.running)() as endpoint,
        peers.running(TOKEN=bearer) as one,
        peers.running(TOKEN=access) as two,
    ):
        endpoint.script.grant = (200, {"access_token": access, "expires_in": 3600})
        vault_id, row = plant(client, one.url, two.url, endpoint.token_url)
        servers: Any = [{"type": "url", "name": name, "url": at.url} for name, at in (("one", one), ("two", two))]
        free = {"permission_policy": {"type": "always_allow"}}
        tools: Any = [{"type": "mcp_toolset", "mcp_server_name": of["name"], "default_config": free} for of in servers]
        tools.append({"type": TOOLSET})
        agent = client.beta.agents.create(name="Bearer", model="demo", mcp_servers=servers, tools=tools)
        where = environment(client, networking={**LIMITED, "allow_mcp_servers": True})
        made = client.beta.sessions.create(
            agent=agent.id, environment_id=where, vault_ids=[vault_id], resources=[repository]
        )
        talk = Talk(client, made.id)
        for name in ("one", "two"):
            events = talk.says(f'use mcp__{name}__echo with `{{"text": "{name}"}}`')
            assert only(events, "agent.mcp_tool_result").content[0].text == f"echo: {name}"
            # The server says back the token, which nobody else may hear.
            back = said(only(talk.says(f"use mcp__{name}__sent with `{{}}`"), "agent.mcp_tool_result"))
            assert "Bearer [secret]" in back
        assert endpoint.grants()[0].form["refresh_token"] == DECOYS["refresh"]
    return talk, row


def _holds(data: bytes, word: str) -> bool:
    plain = word.encode()
    return any(form in data for form in (plain, base64.b64encode(plain), plain.hex().encode()))


def _wait_for_snapshot(talk: Any) -> None:
    wait_for(lambda: operator_events(talk, "ops.sandbox_snapshot"), 30)


def _installations_own(online: Installation) -> list[str]:
    """The secrets that the installation made for itself, and what its database and broker are reached with."""
    ring = (online.data_dir / "keys").read_text().strip().partition(":")[2]
    words = [path.read_text().strip() for path in online.data_dir.glob("*.word")]
    return [_servers(online)[0], *words, ring, (online.data_dir / "secret_key").read_text().strip()]


def _servers(online: Installation) -> tuple[str, str]:
    """The addresses of database and broker."""
    run_dir = places.runtime_dir(online.data_dir)
    embedded = places.database_url(run_dir), places.redis_url(run_dir)
    given = online.environment
    return given.get("DATABASE_URL", embedded[0]), given.get("REDIS_URL", embedded[1])


def everything_kept(online: Installation) -> Iterator[tuple[str, bytes]]:
    """Database, message broker, logs, blobs (snapshots unpacked), the sandboxes' own files."""
    database, broker_url = _servers(online)
    with psycopg.connect(database) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            rows = connection.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table))).fetchall()
            yield f"table {table}", "\n".join(row[0] for row in rows).encode()
    broker = redis.Redis.from_url(broker_url)
    for key in broker.scan_iter():
        yield f"broker {key!r}", broker.dump(key) or b""
    for log in (online.data_dir / "log").glob("*"):
        yield f"log {log.name}", log.read_bytes()
    for blob in (path for path in (online.data_dir / "blobs").rglob("*") if path.is_file()):
        yield f"blob {blob.name}", _unpacked(blob)
    for file in (path for path in (online.data_dir / "sandboxes").rglob("*") if path.is_file()):
        yield f"sandbox {file.name}", file.read_bytes()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield f"command line {process.name}", (process / "cmdline").read_bytes()
    for role in ("sandbox", "egress"):
        for pid in online.pids(role):
            yield f"environment of {role}", Path(f"/proc/{pid}/environ").read_bytes()
    yield "what the supervisor printed", online.output().replace(online.api_key, "").encode()


def _unpacked(blob: Path) -> bytes:
    data = blob.read_bytes()
    if data[:4] != b"\x28\xb5\x2f\xfd":
        return data
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def pages(online: Installation, session_id: str, credential_id: str) -> Iterator[tuple[str, bytes]]:
    """The pages that speak of it, as an administrator sees them."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    form = opener.open(f"{online.url}/login", timeout=30).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    assert token is not None
    fields = {"csrfmiddlewaretoken": token[1], "username": online.username, "password": online.password}
    opener.open(f"{online.url}/login", urlencode(fields).encode(), timeout=30).read()
    for path in (f"/sessions/{session_id}/", f"/credentials/{credential_id}/", "/keys/"):
        yield f"page {path}", opener.open(f"{online.url}{path}", timeout=30).read()
