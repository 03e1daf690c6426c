"""A workspace outlives its installation: exported, everything else wiped, imported, read the same, gone on with."""

from __future__ import annotations

from typing import Any

import httpx2

from tests.live import NEW, Installation, wait_for
from tests.sdk.talk import Talk, client_of, last_words

PASSPHRASE = "correct horse battery"
PATIENCE = 60.0


def post(installation: Installation, path: str, **given: Any) -> httpx2.Response:
    key = {"authorization": f"Bearer {installation.api_key}"}
    answer = httpx2.post(f"{installation.url}/v1/x/workspace/{path}", headers=key, timeout=PATIENCE, **given)
    assert answer.status_code == 200, answer.text
    return answer


def kept(talk: Talk) -> bool:
    """Whether the session's files were put away, so that they are part of an archive."""
    told: Any = talk.client.get(f"/v1/sessions/{talk.id}/events?types[]=ops.sandbox_snapshot", cast_to=object)
    return bool(told["data"])


def test_a_session_reads_the_same_and_goes_on_after_everything_was_wiped() -> None:
    with Installation.started() as before:
        talk = Talk.begin(client_of(before))
        talk.says("Write kept.txt with `from before`.")
        wait_for(lambda: kept(talk), PATIENCE, "the session's files were not kept")
        archive = post(before, "export", json={"passphrase": PASSPHRASE}).content
        log = [event.model_dump(mode="json") for event in talk.log()]
    with Installation.started(NEW) as after:  # another data directory, and none of the ids of the first
        files = {"archive_file": ("workspace.zip", archive)}
        found = post(after, "import", data={"passphrase": PASSPHRASE, "dry_run": "true"}, files=files).json()["found"]
        assert found["rows"]["Session"] == [1, 0]
        client = client_of(after)
        assert list(client.beta.sessions.list()) == []
        for environment in client.beta.environments.list():  # the new installation's own has the same name
            client.beta.environments.delete(environment.id)
        post(after, "import", data={"passphrase": PASSPHRASE}, files=files)
        again = Talk(client, talk.id)
        assert [event.model_dump(mode="json") for event in again.log()] == log
        assert "from before" in last_words(again.says("Run `cat kept.txt`."))
