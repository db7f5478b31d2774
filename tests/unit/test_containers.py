"""What stands in ``docker/``, as far as it can be checked without an engine for containers."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
import yaml
from kit.certificates import Authority

from app.assembly import read_settings

DOCKER = Path(__file__).parents[2] / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
OURS = {name: each for name, each in COMPOSE["services"].items() if each["image"] == "slipway"}
MOUNT = "/run/secrets/"


def program(name: str) -> str:
    """A program of the development tools, or of the machine."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    return found or pytest.skip(f"{name} was not found")


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_composition_is_one_by_the_schema_of_its_specification() -> None:
    schema = ["--builtin-schema", "vendor.compose-spec"]
    run(program("check-jsonschema"), *schema, str(DOCKER / "compose.yaml"))


def test_the_image_has_no_faults_that_are_known_by_name() -> None:
    run(program("hadolint"), str(DOCKER / "Dockerfile"))


def test_nothing_runs_as_root_or_writes_where_nobody_looks() -> None:
    last = DOCKERFILE.rindex("FROM ")
    assert re.search(r"^USER (?!0\b|root\b)\S+$", DOCKERFILE[last:], re.MULTILINE)
    assert set(OURS) == {"web", "conductor", "migrate", "slave"}
    for name, service in {**OURS, "redis": COMPOSE["services"]["redis"]}.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name


def test_secrets_come_as_files_that_each_part_is_given() -> None:
    text = (DOCKER / "slipway.yaml").read_text(encoding="utf-8")
    active = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    named = set(re.findall(rf"{MOUNT}(\w+)", active))
    assert named
    for name, service in OURS.items():
        assert name == "slave" or named <= set(service["secrets"])
    for service in COMPOSE["services"].values():
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
        environment = service.get("environment", {})
        assert not [n for n in environment if re.search(r"PASSWORD$|SECRET$|TOKEN$|KEY$", n)]
    ignored = (DOCKER.parent / ".gitignore").read_text(encoding="utf-8")
    assert "docker/secrets/\n" in ignored, "nobody commits them by accident"


def test_a_slave_is_given_a_key_and_nothing_of_the_service() -> None:
    slave = OURS["slave"]
    assert slave["secrets"] == ["slave_key", "tls_cert"]
    assert (slave["environment"], slave["volumes"]) == ({}, [])
    words = slave["command"]
    group = import_module("app.cli.slave").command
    assert words[0] == "slave"
    made = group.commands[words[1]].make_parser(click.Context(group.commands[words[1]]))
    options, rest, _ = made.parse_args(list(words[2:]))
    assert not rest
    assert options["api_key_file"] == f"{MOUNT}slave_key"
    host = urlsplit(options["url"])
    assert host.hostname in COMPOSE["services"]
    settings = yaml.safe_load((DOCKER / "slipway.yaml").read_text(encoding="utf-8"))
    assert host.hostname in settings["api"]["allowed_hosts"]
    assert host.port == settings["api"]["port"]


def test_the_settings_are_good_and_the_parts_find_each_other(tmp_path: Path) -> None:
    pair = Authority(tmp_path / "ca").issue("localhost")
    for name in COMPOSE["secrets"]:
        (tmp_path / name).write_text("a secret")
        (tmp_path / name).chmod(0o600)
    shutil.copyfile(pair.cert, tmp_path / "tls_cert")
    shutil.copyfile(pair.key, tmp_path / "tls_key")
    text = (DOCKER / "slipway.yaml").read_text(encoding="utf-8")
    config = tmp_path / "slipway.yaml"
    config.write_text(text.replace(MOUNT, f"{tmp_path}/"))
    config.chmod(0o600)
    settings = read_settings(config, {}, {})
    assert settings.api.tls.enabled
    assert settings.ssh_keys.vault is not None
    for url in (
        settings.database_url,
        settings.api.rate_limit.storage,
        settings.ssh_keys.vault.address,
    ):
        host = re.findall(r"//(?:[^@/]*@)?([^:/]+)", str(url))
        assert host[0] in COMPOSE["services"]
    published = COMPOSE["services"]["web"]["ports"]
    assert all(port.endswith(f":{settings.api.port}") for port in published)
