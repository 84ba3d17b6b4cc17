"""files/docker is what the roles would run, in the words of Docker Compose, and as hardened."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from plugins.filter.compose import compose, literal
from tests.support.plays import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FILES = ROOT / "files" / "docker"
SERVICES: dict[str, Any] = yaml.safe_load((FILES / "compose.yml").read_text())["services"]
TASKS: list[dict[str, Any]] = yaml.safe_load((ROOT / "roles/common/tasks/container.yml").read_text())


def test_files_are_what_the_playbook_renders(tmp_path: Path) -> None:
    done = subprocess.run(
        ["ansible-playbook", "playbooks/compose.yml", "-e", f"compose_directory={tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rendered = {
        path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*") if path.is_file()
    }
    assert rendered
    beside = {".md", ".env", ""}
    there = {
        path.relative_to(FILES): path.read_text()
        for path in FILES.rglob("*")
        if path.is_file() and path.suffix not in beside
    }
    assert there == rendered, "run: ansible-playbook playbooks/compose.yml"


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_as_closed_as_the_roles_make_it(name: str) -> None:
    service = SERVICES[name]
    assert service["init"] is True
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].split(":")[0] not in ("", "0", "root")
    assert service["pids_limit"] > 0
    assert service["mem_limit"]
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"]["max-size"]
    assert service["healthcheck"]["test"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert "@sha256:" in service["image"]
    data = f"{name}-data:"
    assert [mount for mount in service["volumes"] if not mount.endswith(":ro")] == [
        mount for mount in service["volumes"] if mount.startswith(data)
    ]


def test_mounted_files_are_there() -> None:
    beside = [
        mount.split(":")[0]
        for service in SERVICES.values()
        for mount in service["volumes"]
        if mount.startswith(".")
    ]
    assert beside
    assert [path for path in beside if not (FILES / path).exists()] == []


def test_variables_are_the_images_and_the_password() -> None:
    assert literal(["$(x)", 3]) == ["$$(x)", 3]
    images = {service.pop("image") for service in yaml.safe_load(yaml.safe_dump(SERVICES)).values()}
    assert len(images) == len(SERVICES)
    text = (FILES / "compose.yml").read_text()
    assert text.replace("$$", "").count("$") == len(SERVICES) + 1
    assert SERVICES["grafana"]["environment"]["GRAFANA_ADMIN_PASSWORD"].startswith(
        "${GRAFANA_ADMIN_PASSWORD:?"
    )


def test_mount_of_which_nothing_is_known_is_refused() -> None:
    container = {
        "name": "claude-code-x",
        "image": "x:1",
        "command": [],
        "env": {},
        "hosts": {},
        "ports": [],
        "tmpfs": [],
        "healthcheck": {},
        "memory": "1g",
        "pids": 1,
        "stop_seconds": 1,
        "mounts": [{"source": "/etc/new", "target": "/etc/new", "read_only": True}],
    }
    place = {"user": "1:1", "data": "/data", "mounts": {}}
    with pytest.raises(Exception, match="x mounts /etc/new"):
        compose([container], {"x": place}, tasks=TASKS)
