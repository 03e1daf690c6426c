"""A whole environment read at once: defaults, profiles, and the refusals an operator meets."""

from __future__ import annotations

import base64
import dataclasses
import stat
from typing import TYPE_CHECKING

import pytest

from config import env
from config.readers import SettingError

if TYPE_CHECKING:
    from pathlib import Path

DATABASE = {"DATABASE_URL": "postgresql://me:hunter2@db.example:5432/holdfast"}
KEY = f"k1:{base64.b64encode(bytes(32)).decode()}"
PRODUCTION = {**DATABASE, "SECRET_KEY": "s" * 40, "HOLDFAST_KEYS": KEY}


def read(tmp_path: Path, **environ: str) -> env.Holdfast:
    return env.read({"DATA_DIR": str(tmp_path), **environ})


def test_nothing_set_gives_the_embedded_profile_with_the_demo_model(tmp_path: Path) -> None:
    holdfast = read(tmp_path)
    assert holdfast.embedded_database
    assert holdfast.embedded_redis
    assert not holdfast.production
    assert (holdfast.bind, holdfast.port, holdfast.public_url) == ("127.0.0.1", 8400, "http://127.0.0.1:8400")
    assert holdfast.model_default == "demo"
    assert holdfast.tasks_url == holdfast.redis_url


def test_generated_secrets_are_private_and_stay_the_same(tmp_path: Path) -> None:
    first, second = read(tmp_path), read(tmp_path)
    assert first.secret_key == second.secret_key
    assert first.keys == second.keys
    for name in ("secret_key", "keys"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_two_installations_generate_different_secrets(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert read(tmp_path / "a").secret_key != read(tmp_path / "b").secret_key


@pytest.mark.parametrize("missing", ["SECRET_KEY", "HOLDFAST_KEYS"])
def test_production_refuses_to_start_without_its_secrets(tmp_path: Path, missing: str) -> None:
    given = {name: value for name, value in PRODUCTION.items() if name != missing}
    with pytest.raises(SettingError, match=rf"^{missing} is not set.*make.*\.$"):
        read(tmp_path, **given)
    assert not (tmp_path / "keys").exists()


def test_production_takes_its_secrets_from_files(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("x" * 40, encoding="utf-8")
    holdfast = read(tmp_path, **DATABASE, SECRET_KEY_FILE=str(tmp_path / "s"), HOLDFAST_KEYS=KEY)
    assert holdfast.production
    assert holdfast.secret_key.reveal() == "x" * 40


def test_no_secret_and_no_password_shows_in_the_settings_repr(tmp_path: Path) -> None:
    secret = "z" * 40
    holdfast = read(tmp_path, **{**PRODUCTION, "SECRET_KEY": secret}, MODEL_API_KEY="sk-real")
    shown = repr(holdfast) + str(dataclasses.asdict(dataclasses.replace(holdfast, database_url="", redis_url="")))
    for hidden in (secret, "sk-real", "hunter2", KEY.partition(":")[2]):
        assert hidden not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "short"),
        ("HOLDFAST_KEYS", "k1:c2hvcnQ="),
        ("HOLDFAST_KEYS", "no-colon"),
        ("HOLDFAST_KEYS", f"{KEY},{KEY}"),
        ("PORT", "0"),
        ("PORT", "http"),
        ("WORKERS", "0"),
        ("WORKER_THREADS", "many"),
        ("LEASE_SECONDS", "0.1"),
        ("HANG_SECONDS", "3"),
        ("HANG_SECONDS", "-1"),
        ("SANDBOX", "none"),
        ("DATABASE_URL", "sqlite:///x.db"),
        ("REDIS_URL", "localhost:6379"),
        ("TASKS_URL", "kafka://x"),
        ("MODEL_BASE_URL", "api.example"),
        ("PUBLIC_URL", "example.org"),
        ("INSTANCE_NAME", "a b"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_in_one_sentence(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingError) as refusal:
        read(tmp_path, **{name: value})
    text = str(refusal.value)
    assert name in text
    assert text.endswith(".")
    assert "\n" not in text


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8400",
        "http://localhost:8400/",
        "http://127.8.9.1:8400",
        "http://[::1]:8400",
        "http://0.0.0.0:8400",
    ],
)
def test_the_installations_own_address_is_refused_as_a_model(tmp_path: Path, address: str) -> None:
    with pytest.raises(SettingError, match="own address"):
        read(tmp_path, MODEL_BASE_URL=address)


def test_the_published_address_is_refused_as_a_model(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="own address"):
        read(tmp_path, MODEL_BASE_URL="https://agents.example", PUBLIC_URL="https://agents.example:443")


def test_another_port_of_this_machine_may_be_the_model(tmp_path: Path) -> None:
    holdfast = read(tmp_path, MODEL_BASE_URL="http://127.0.0.1:8080/", MODEL_DEFAULT="local")
    assert (holdfast.model_base_url, holdfast.model_default) == ("http://127.0.0.1:8080", "local")


def test_either_name_of_the_model_key_is_taken_and_ours_wins(tmp_path: Path) -> None:
    assert read(tmp_path, ANTHROPIC_API_KEY="a").model_api_key.reveal() == "a"
    assert read(tmp_path, ANTHROPIC_API_KEY="a", MODEL_API_KEY="b").model_api_key.reveal() == "b"
    assert read(tmp_path, ANTHROPIC_API_KEY="a").model_default != "demo"


def test_on_loopback_only_this_machines_names_are_hosts(tmp_path: Path) -> None:
    assert "*" not in read(tmp_path).allowed_hosts
    assert "agents.example" in read(tmp_path, PUBLIC_URL="https://agents.example").allowed_hosts


def test_an_unusable_data_directory_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SettingError, match=r"data directory .* set DATA_DIR"):
        read(tmp_path / "file" / "below")


def test_media_are_named_one_by_one_and_misnamed_ones_refused(tmp_path: Path) -> None:
    assert read(tmp_path, MODEL_MEDIA="image,pdf").model_media == ("image", "pdf")
    with pytest.raises(SettingError, match="MODEL_MEDIA"):
        read(tmp_path, MODEL_MEDIA="video")
