"""Containers as the roles describe them, in the words of Docker Compose."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml
from ansible.errors import AnsibleFilterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MODULE = "community.docker.docker_container"


def compose(
    containers: Sequence[Mapping[str, Any]],
    places: Mapping[str, Mapping[str, Any]],
    *,
    tasks: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return a Compose file as data.

    ``containers`` are what the roles describe, in the order of ``places`` (service → what is different
    beside a Compose file): ``user``; ``data``, the image's own folder of data, which is kept in a volume
    instead of a folder of the host; ``mounts``, the host's path → path beside the file, or null for what is
    not needed there; ``more``, path in the container → path beside the file; ``env``, what Compose itself
    is to fill in. ``tasks`` are those by which
    the roles make a container: what they give every one, every service here gets, too.

    Raises AnsibleFilterError for a mount that ``places`` does not know.
    """
    (hardening,) = (task[MODULE] for task in tasks if MODULE in task)
    services = {
        name: service(container, place, hardening=hardening)
        for container, (name, place) in zip(containers, places.items(), strict=True)
    }
    return {
        "name": "claude-code-observability",
        "services": services,
        "volumes": {f"{name}-data": {} for name in places},
    }


def service(
    container: Mapping[str, Any], place: Mapping[str, Any], *, hardening: Mapping[str, Any]
) -> dict[str, Any]:
    """Return one service; its container has the name that the roles give it, so only one of both can be."""
    name = container["name"].rpartition("-")[2]
    described: dict[str, Any] = {
        "container_name": container["name"],
        "image": f"${{{name.upper()}_IMAGE:-{container['image']}}}",
        "command": literal(container["command"]),
        "user": place["user"],
        "environment": literal(container["env"]) | place.get("env", {}),
        "extra_hosts": [f"{host}:{address}" for host, address in container["hosts"].items()],
        "ports": [f"{address}:{address.rpartition(':')[2]}" for address in container["ports"]],
        "volumes": [*volumes(name, container["mounts"], place)],
        "tmpfs": list(container["tmpfs"]),
        "healthcheck": literal(container["healthcheck"]),
        "mem_limit": container["memory"],
        "pids_limit": container["pids"],
        "init": hardening["init"],
        "read_only": hardening["read_only"],
        "cap_drop": hardening["cap_drop"],
        "security_opt": hardening["security_opts"],
        "restart": hardening["restart_policy"],
        "stop_grace_period": f"{container['stop_seconds']}s",
        "logging": {"driver": hardening["log_driver"], "options": hardening["log_options"]},
    }
    return {key: value for key, value in described.items() if value not in ([], {})}


def volumes(name: str, mounts: Sequence[Mapping[str, Any]], place: Mapping[str, Any]) -> list[str]:
    """Return a service's mounts: files from beside the Compose file, data in a volume."""
    found = [f"{name}-data:{place['data']}"]
    for mount in mounts:
        if not mount["read_only"]:
            continue
        if mount["source"] not in place["mounts"]:
            msg = f"{name} mounts {mount['source']}, of which playbooks/compose.yml says nothing"
            raise AnsibleFilterError(msg)
        if beside := place["mounts"][mount["source"]]:
            found.append(f"{beside}:{mount['target']}:ro")
    return [*found, *(f"{beside}:{target}:ro" for target, beside in place.get("more", {}).items())]


def literal(value: Any) -> Any:
    """Return a value in which Compose finds no variable: each dollar is doubled."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: literal(each) for key, each in value.items()}
    return [literal(each) for each in value] if isinstance(value, list) else value


class _Indented(yaml.SafeDumper):
    """Writes lists one step to the right of their key, as the rest of this repository does."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002
        super().increase_indent(flow, False)  # noqa: FBT003


def compose_text(value: Any, comment: str) -> str:
    """Return a file's text: YAML, or what is text already, below a comment."""
    if isinstance(value, str):
        return f"# {comment}\n{value}\n"
    plain = json.loads(json.dumps(value))  # Ansible's own kinds of texts are unknown to YAML
    text = yaml.dump(plain, Dumper=_Indented, sort_keys=False, width=120, allow_unicode=True)
    return f"---\n# {comment}\n# yamllint disable rule:line-length\n{text}"


class FilterModule:
    """The filters of this file, by the names that templates use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return name → function."""
        return {"compose": compose, "compose_text": compose_text}
