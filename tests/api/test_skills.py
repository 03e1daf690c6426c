"""``/v1/skills`` by plain requests (spec advanced 5.4): shapes, versions, old clients, roles, other workspaces."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.core.signals import request_finished
from django.db import close_old_connections
from django.test import Client

from agents.models import Skill, SkillVersion
from contract import blobs
from contract.roles import Role
from sessions import files
from tests.agents.skills.zips import good, skill_md
from tests.api.conftest import Caller, caller, fits, refusal
from tests.api.multipart import Piece, multipart
from tests.streamed import whole

if TYPE_CHECKING:
    from agents.models import Workspace

SKILL = "beta_skill.BetaSkill"
VERSION = "skills.beta_skill_version.BetaSkillVersion"
LEGACY = {"anthropic-beta": "x, skills-2025-10-02"}


def post(who: Caller, path: str, *pieces: Piece, **headers: str) -> Any:
    body, kind = multipart(pieces)
    sent = {"x-api-key": who.key, **headers}
    return Client(raise_request_exception=False).post(f"/v1{path}", body, content_type=kind, headers=sent)


def make(who: Caller, name: str = "greeting", path: str = "/skills", **contents: str) -> dict[str, Any]:
    response = post(who, path, Piece("files[]", good(name, **contents), "skill.zip"))
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


def old(who: Caller, method: str, path: str) -> Any:
    return who.send(method, path, **LEGACY)


def downloaded(who: Caller, path: str, **headers: str) -> zipfile.ZipFile:
    response = who.send("GET", f"{path}/content", **headers)
    assert response.status_code == 200, response.content
    data = whole(response)
    request_finished.disconnect(close_old_connections)  # the test's own connection must stay
    response.close()
    request_finished.connect(close_old_connections)
    assert response["content-type"] == "application/zip"
    assert response["content-length"] == str(len(data))
    return zipfile.ZipFile(io.BytesIO(data))


def test_a_skill_is_made_of_one_zip(alice: Caller) -> None:
    made = make(alice)
    fits(SKILL, made)
    assert made["id"].startswith("skill_")
    assert (made["display_name"], made["source"]) == ("greeting", {"type": "custom"})
    assert alice.get(f"/skills/{made['id']}") == made
    version = alice.get(f"/skills/{made['id']}/versions/latest")
    fits(VERSION, version)
    assert version["id"] == made["latest_version_id"]
    assert version["id"].startswith("skver_")
    assert (version["name"], version["skill_id"]) == ("greeting", made["id"])
    assert version["description"] == "Greets people. Use it when somebody says hello."


def test_a_skill_is_made_of_files_that_keep_their_directories(alice: Caller) -> None:
    pieces = [
        Piece("files[]", skill_md(), "greeting/SKILL.md"),
        Piece("display_name", "Grüße, <b>"),
        Piece("files[]", "#!/bin/sh\n", "greeting/scripts/run me.sh"),
    ]
    made = post(alice, "/skills", *pieces).json()
    assert made["display_name"] == "Grüße, <b>"
    held = downloaded(alice, f"/skills/{made['id']}/versions/{made['latest_version_id']}")
    assert held.namelist() == ["greeting/SKILL.md", "greeting/scripts/run me.sh"]
    modes = [info.external_attr >> 16 & 0o777 for info in held.infolist()]
    assert modes == [0o644, 0o755]
    assert SkillVersion.objects.get().files == [
        {"path": "SKILL.md", "size": len(skill_md()), "executable": False},
        {"path": "scripts/run me.sh", "size": 10, "executable": True},
    ]


def test_bytes_without_a_filename_are_an_archive(alice: Caller) -> None:
    assert post(alice, "/skills", Piece("files[]", good())).status_code == 200


def test_a_new_version_is_the_latest_and_old_ones_stay(alice: Caller) -> None:
    made = make(alice)
    path = f"/skills/{made['id']}/versions"
    second = make(alice, path=path, notes="new")
    fits(VERSION, second)
    assert alice.get(f"/skills/{made['id']}")["latest_version_id"] == second["id"]
    assert [one["id"] for one in alice.get(path)["data"]] == [second["id"], made["latest_version_id"]]
    first = alice.get(f"{path}?limit=1")
    assert first["data"] == [second]
    assert alice.get(f"{path}?limit=1&page={first['next_page']}")["next_page"] is None
    assert downloaded(alice, f"{path}/{made['latest_version_id']}").namelist() == ["greeting/SKILL.md"]
    assert len(downloaded(alice, f"{path}/latest").namelist()) == 2


def test_a_version_keeps_the_name_of_its_skill(alice: Caller) -> None:
    made = make(alice)
    refused = refusal(post(alice, f"/skills/{made['id']}/versions", Piece("files[]", good("other"), "s.zip")))
    assert refused.status == 400
    assert refused.message == "SKILL.md: name must stay greeting, the name of this skill; it is other"
    assert SkillVersion.objects.count() == 1
    refused = refusal(
        post(alice, f"/skills/{made['id']}/versions", Piece("display_name", "x"), Piece("files[]", good(), "s.zip"))
    )
    assert refused.message == "display_name: Extra inputs are not permitted"


def test_lists_are_newest_first_and_filtered_by_source(alice: Caller, charlie: Caller) -> None:
    made = [make(alice, f"s{number}")["id"] for number in range(3)][::-1]
    make(charlie)
    first = alice.get("/skills?limit=2")
    assert set(first) == {"data", "next_page"}
    second = alice.get(f"/skills?limit=2&page={first['next_page']}")
    assert [one["id"] for one in first["data"] + second["data"]] == made
    assert len(alice.get("/skills?source=custom")["data"]) == 3
    assert alice.get("/skills?source=anthropic") == {"data": [], "next_page": None}
    assert alice.refused("GET", "/skills?source=bogus").message.startswith("source")
    assert alice.refused("GET", "/skills?limit=1001").message.startswith("limit")
    assert alice.refused("GET", f"/skills/{made[0]}/versions?page={first['next_page']}").message.startswith("page")


def test_deleting_a_skill_takes_every_version_along(alice: Caller) -> None:
    made = make(alice)
    make(alice, path=f"/skills/{made['id']}/versions")
    assert alice.ok("DELETE", f"/skills/{made['id']}") == {"id": made["id"], "type": "skill_deleted"}
    assert not SkillVersion.objects.exists()
    assert alice.refused("GET", f"/skills/{made['id']}").status == 404
    assert alice.refused("DELETE", f"/skills/{made['id']}").status == 404


def test_deleting_the_latest_version_makes_the_one_before_it_latest(alice: Caller) -> None:
    made = make(alice)
    path = f"/skills/{made['id']}/versions"
    second = make(alice, path=path)["id"]
    assert alice.refused("DELETE", f"{path}/latest").status == 400
    assert alice.ok("DELETE", f"{path}/{second}") == {"id": second, "type": "skill_version_deleted"}
    assert alice.get(f"/skills/{made['id']}")["latest_version_id"] == made["latest_version_id"]
    refused = alice.refused("DELETE", f"{path}/{made['latest_version_id']}")
    assert (refused.status, refused.message[-27:]) == (400, "; delete the skill instead.")
    assert alice.refused("GET", f"{path}/{second}").status == 404


def test_the_hosted_services_own_skills_are_not_here_and_the_answer_says_so(alice: Caller) -> None:
    for path in (
        "/skills/pdf",
        "/skills/xlsx/versions",
        "/skills/docx/versions/latest",
        "/skills/pptx/versions/1/content",
    ):
        refused = alice.refused("GET", path)
        assert refused.status == 404
        assert "Anthropic's own" in refused.message


def test_what_belongs_to_another_workspace_is_not_found(alice: Caller, charlie: Caller) -> None:
    made = make(alice)
    path = f"/skills/{made['id']}"
    version = f"{path}/versions/{made['latest_version_id']}"
    for method, tried in [("GET", path), ("DELETE", path), ("GET", version), ("DELETE", version)]:
        assert charlie.refused(method, tried).status == 404
    assert charlie.refused("GET", f"{version}/content").status == 404
    assert refusal(post(charlie, f"{path}/versions", Piece("files[]", good(), "s.zip"))).status == 404
    mine = make(charlie)
    assert charlie.refused("GET", f"/skills/{mine['id']}/versions/{made['latest_version_id']}").status == 404


def test_operators_may_read_skills_and_only_developers_change_them(alice: Caller, db: None) -> None:
    made = make(alice)
    operator = caller("op", Role.OPERATOR, workspace_of(alice))
    assert operator.get(f"/skills/{made['id']}") == made
    refused = refusal(post(operator, "/skills", Piece("files[]", good(), "s.zip")))
    assert (refused.status, refused.type) == (403, "permission_error")
    assert operator.refused("DELETE", f"/skills/{made['id']}").status == 403
    assert Skill.objects.count() == 1


def workspace_of(who: Caller) -> Workspace:
    from agents.models import Workspace

    return Workspace.objects.get(pk=who.acting.workspace_id)


def test_old_clients_see_their_own_shapes_and_name_versions_by_number(alice: Caller) -> None:
    pieces = [Piece("display_title", "Greeter"), Piece("files[]", good(), "s.zip")]
    made = post(alice, "/skills", *pieces, **LEGACY).json()
    assert set(made) == {"id", "type", "display_title", "latest_version", "source", "created_at", "updated_at"}
    assert (made["display_title"], made["source"]) == ("Greeter", "custom")
    assert len(made["latest_version"]) == 16
    path = f"/skills/{made['id']}/versions"
    version = old(alice, "GET", f"{path}/{made['latest_version']}").json()
    assert (version["version"], version["directory"]) == (made["latest_version"], "greeting")
    assert old(alice, "GET", "/skills").json()["has_more"] is False
    assert old(alice, "GET", path).json() == {"data": [version], "next_page": None, "has_more": False}
    assert downloaded(alice, f"{path}/{made['latest_version']}", **LEGACY).namelist() == ["greeting/SKILL.md"]


def test_old_clients_delete_the_versions_first_and_new_ones_never_see_an_empty_skill(alice: Caller) -> None:
    made = make(alice)
    path = f"/skills/{made['id']}"
    number = old(alice, "GET", path).json()["latest_version"]
    gone = old(alice, "DELETE", f"{path}/versions/{number}").json()
    assert gone == {"id": number, "type": "skill_version_deleted"}
    assert old(alice, "GET", path).json()["latest_version"] is None
    assert len(old(alice, "GET", "/skills").json()["data"]) == 1
    assert alice.get("/skills")["data"] == []
    assert alice.refused("GET", path).status == 404
    assert old(alice, "DELETE", path).status_code == 200
    assert not Skill.objects.exists()


@pytest.mark.parametrize("reference", ["1", "9" * 30, "skver_none", "LATEST", "\u0663"])
def test_unknown_versions_are_not_found(alice: Caller, reference: str) -> None:
    made = make(alice)
    assert alice.refused("GET", f"/skills/{made['id']}/versions/{reference}").status == 404


def test_the_archive_of_a_skill_stays_until_nothing_names_it(alice: Caller) -> None:
    made = make(alice)
    digest = SkillVersion.objects.get().digest
    assert files.collect_garbage(timedelta(0)) == 0
    assert blobs.exists(digest)
    alice.ok("DELETE", f"/skills/{made['id']}")
    assert files.collect_garbage(timedelta(0)) == 1


def test_lost_bytes_are_a_plain_404(alice: Caller) -> None:
    made = make(alice)
    blobs.path(SkillVersion.objects.get().digest).unlink()
    path = f"/skills/{made['id']}/versions/{made['latest_version_id']}/content"
    assert alice.refused("GET", path).status == 404
