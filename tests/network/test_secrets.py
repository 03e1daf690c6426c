"""Credentials of vaults in sessions: in the sandbox a placeholder, at the host the secret (spec advanced 1 and 2)."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import psycopg

from config import places
from tests.live import wait_for
from tests.network.upstream import LIMITED, WORLD, begin, requests, run
from tests.sdk.talk import all_of

if TYPE_CHECKING:
    import anthropic

    from tests.credentials.egress.rig import Server
    from tests.live import Installation
    from tests.sdk.talk import Talk

SECRET = "decoy-variable-5f0b8c1d2e3a4f60718293a4"
OTHER = "decoy-another-5f0b8c1d2e3a4f60718293a4"
FETCH = 'curl -sS -H "Authorization: Bearer $API_TOKEN" -d "key=$API_TOKEN" https://{host}:{port}/'


def vault(client: anthropic.Anthropic) -> str:
    return client.beta.vaults.create(display_name=f"Vault {time.time_ns()}").id


def variable(client: anthropic.Anthropic, vault_id: str, secret: str = SECRET, **more: Any) -> Any:
    auth: Any = {
        "type": "environment_variable",
        "secret_name": "API_TOKEN",
        "secret_value": secret,
        "networking": {"type": "limited", "allowed_hosts": [WORLD]},
        **more.pop("auth", {}),
    }
    return client.beta.vaults.credentials.create(vault_id, auth=auth, extra_body=more or None)


def fetched(talk: Talk, server: Server) -> Any:
    """The request that the server got, from the sandbox's point of view a call with its own variable."""
    count = len(server.seen)
    run(talk, FETCH.format(host=WORLD, port=server.port))
    assert len(server.seen) == count + 1
    return server.seen[-1]


def test_the_server_gets_the_secret_and_the_sandbox_never_has_it(
    online: Installation, client: anthropic.Anthropic, secure: Server
) -> None:
    one = vault(client)
    credential = variable(client, one)
    talk = begin(client, networking=LIMITED, vault_ids=[one])
    answer = run(talk, FETCH.format(host=WORLD, port=secure.port))
    (request,) = secure.seen
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.body == f"key={SECRET}".encode()
    assert SECRET not in answer
    placeholder = run(talk, 'printf %s "$API_TOKEN"')
    assert len(placeholder) == len(SECRET)
    assert placeholder in answer
    (told,) = requests(talk)
    assert told["credentials"] == [{"id": credential.id, "name": "API_TOKEN"}]


def test_a_rotated_secret_serves_the_running_sandbox_and_an_archived_one_no_more(
    online: Installation, client: anthropic.Anthropic, secure: Server
) -> None:
    one = vault(client)
    credential = variable(client, one)
    talk = begin(client, networking=LIMITED, vault_ids=[one])
    assert SECRET in fetched(talk, secure).headers["authorization"]
    change: Any = {"type": "environment_variable", "secret_value": OTHER}
    client.beta.vaults.credentials.update(credential.id, vault_id=one, auth=change)
    assert OTHER in fetched(talk, secure).headers["authorization"]
    client.beta.vaults.credentials.archive(credential.id, vault_id=one)
    run(talk, FETCH.replace("curl", "curl -k").format(host=WORLD, port=secure.port))
    assert not {SECRET, OTHER} & set(secure.seen[-1].headers["authorization"].split())


def test_the_first_vault_that_has_the_variable_wins(
    online: Installation, client: anthropic.Anthropic, secure: Server
) -> None:
    first, second = vault(client), vault(client)
    variable(client, first)
    variable(client, second, OTHER)
    talk = begin(client, networking=LIMITED, vault_ids=[second, first])
    assert OTHER in fetched(talk, secure).headers["authorization"]


def test_a_scope_by_method_keeps_the_secret_out_of_other_requests(
    online: Installation, client: anthropic.Anthropic, secure: Server
) -> None:
    one = vault(client)
    credential = variable(client, one, holdfast={"scope": {"methods": ["GET"]}})
    assert credential.model_extra["holdfast"]["scope"]["methods"] == ["GET"]
    talk = begin(client, networking=LIMITED, vault_ids=[one])
    assert SECRET not in str(fetched(talk, secure).headers)
    run(talk, f'curl -sS -H "X-Token: $API_TOKEN" https://{WORLD}:{secure.port}/')
    assert secure.seen[-1].headers["x-token"] == SECRET


def test_a_host_that_the_environment_does_not_permit_is_told_once_and_the_session_goes_on(
    online: Installation, client: anthropic.Anthropic
) -> None:
    one = vault(client)
    credential = variable(client, one, auth={"networking": {"type": "limited", "allowed_hosts": ["api.example.com"]}})
    talk = begin(client, networking=LIMITED, vault_ids=[one])
    events = talk.says("Run `echo on`.")
    (told,) = all_of(events, "session.error")
    assert told.error.type == "credential_host_unreachable_error"
    assert (told.error.credential_id, told.error.vault_id) == (credential.id, one)
    assert events[-1].stop_reason.type == "end_turn"
    assert not all_of(talk.says("Run `echo again`."), "session.error")


def test_a_secret_that_can_no_longer_be_read_is_told_of_in_every_turn(
    online: Installation, client: anthropic.Anthropic
) -> None:
    one = vault(client)
    credential = variable(client, one)
    talk = begin(client, networking=LIMITED, vault_ids=[one])
    assert not all_of(talk.says("Run `echo on`."), "session.error")
    run_dir = places.runtime_dir(online.data_dir)
    with psycopg.connect(f"postgresql://holdfast@/holdfast?host={run_dir}") as connection:
        # It seems to be sealed with the key x1 now, which is on no ring.
        lost = "UPDATE credentials_credential SET sealed = set_byte(sealed, 2, ascii('x')) WHERE id = %s"
        assert connection.execute(lost, (credential.id,)).rowcount == 1
    for _ in range(2):
        events = talk.says("Run `echo again`.")
        (told,) = all_of(events, "session.error")
        assert "The key 'x1' is not in HOLDFAST_KEYS" in told.error.message
        assert events[-1].stop_reason.type == "end_turn"


def test_uses_are_on_record_with_session_tool_host_and_rule(
    online: Installation, client: anthropic.Anthropic, secure: Server
) -> None:
    one = vault(client)
    credential = variable(client, one, holdfast={"scope": {"hosts": [WORLD]}})
    talk = begin(client, networking=LIMITED, vault_ids=[one])
    fetched(talk, secure)
    found: list[Any] = []

    def there() -> bool:
        page: Any = client.get(f"/v1/x/credentials/{credential.id}/uses", cast_to=object)
        found[:] = page["data"]
        return bool(found)

    wait_for(there, 20)
    (use,) = found
    assert (use["session_id"], use["tool"], use["host"], use["method"]) == (talk.id, "bash", WORLD, "POST")
    assert use["rule"] == f"scope: hosts {WORLD}"
    assert SECRET not in json.dumps(found)


def test_what_would_break_is_told_before_a_credential_is_revoked(
    online: Installation, client: anthropic.Anthropic
) -> None:
    first, second = vault(client), vault(client)
    credential, spare = variable(client, first), variable(client, second, OTHER)
    alone = begin(client, networking=LIMITED, vault_ids=[first])
    covered = begin(client, networking=LIMITED, vault_ids=[first, second])
    begin(client, networking=LIMITED, vault_ids=[second])
    found: Any = client.get(f"/v1/x/credentials/{credential.id}/impact", cast_to=object)
    told = {one["id"]: one["instead"] for one in found["sessions"]}
    assert told == {alone.id: None, covered.id: spare.id}
