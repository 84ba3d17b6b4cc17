"""Containers as data: images, published ports, probes, and how services reach each other."""

from __future__ import annotations

import importlib.util
import ipaddress
import re
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# registry/path:tag@digest; a registry is what has a dot, a colon or is localhost before the first slash.
IMAGE = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9.\-]*(?::\d+)?(?:/[a-z0-9][a-z0-9._\-]*)*)"
    r"(?::(?P<tag>\w[\w.\-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
# The engine gives containers its host's address by this name.
HOST = "host.docker.internal"


def image_fault(image: str) -> str:
    """Return one sentence about a text that is no image with a tag or a digest, or an empty text."""
    match = IMAGE.fullmatch(str(image))
    if not match or not (match["tag"] or match["digest"]):
        return (
            f"{image} is no image: write its name with a tag, a digest or both, as in prom/prometheus:v3.5.0."
        )
    return ""


def image_reference(image: str) -> str:
    """Return the name by which an engine looks an image up: the digest alone counts where there is one."""
    match = IMAGE.fullmatch(str(image))
    return f"{match['name']}@{match['digest']}" if match and match["digest"] else str(image)


def publish_fault(address: str) -> str:
    """Return one sentence about a listen address that no engine can publish on, or an empty text."""
    host = str(address).rpartition(":")[0].strip("[]")
    try:
        ipaddress.ip_address(host or "0.0.0.0")  # noqa: S104 # a question, not a listener
    except ValueError:
        if host != "localhost":
            return f"{address} names a host: an engine publishes a port on an address, as in 127.0.0.1:9090."
    return ""


def publish(address: str) -> str:
    """Return what publishes a port on the host's ``address`` (host:port) under the same number."""
    host, _, port = str(address).rpartition(":")
    host = {"": "0.0.0.0", "localhost": "127.0.0.1"}.get(host, host)  # noqa: S104 # the inventory asked for it
    return f"{host}:{port}:{port}"


def is_own_loopback(target: str) -> bool:
    """Say whether ``host:port`` means the container itself to a client in a container."""
    host = str(target).rpartition(":")[0].strip("[]") or str(target)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def reach(address: str, container: str, *, client: str, server: str) -> str:
    """Return ``host:port`` by which a client finds a service of its own host.

    ``address`` is where the service listens, ``container`` its name where it is one; ``client`` and
    ``server`` are their ways of installing, apt or docker. A client in a container does not find a service
    on the host's loopback: the answer is then an address on loopback, which ``is_own_loopback`` knows.
    """
    port = str(address).rpartition(":")[2]
    if client != "docker":
        return f"localhost:{port}"
    if server == "docker":
        return f"{container}:{port}"
    return f"localhost:{port}" if is_own_loopback(address) else f"{HOST}:{port}"


def certified_as(targets: Sequence[str], containers: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the TLS settings that targets need whose names no certificate carries, those of containers.

    A host's certificate carries localhost, which is what such a name means: this host.
    """
    names = {str(target).rpartition(":")[0] for target in targets}
    return {"tls_config": {"server_name": "localhost"}} if names & {*containers, HOST} else {}


def ready_probe(url: str, *, checker: str = "") -> list[str]:
    """Return a health check by the image's shell and wget: the service answers, or asks who we are.

    ``checker`` is a command that knows better, which an older image may not know at all.
    """
    trusting = "--no-check-certificate " if url.startswith("https:") else ""
    ask = f"wget -q -O /dev/null {trusting}{url} 2>&1"
    probe = f"""case "$({ask})" in "" | *" 401 "*) ;; *) exit 1 ;; esac"""
    if checker:
        unknown = f"""case "$said" in *"expected command"*) {probe} ;; *) exit 1 ;; esac"""
        probe = f"said=$({checker} 2>&1) || {unknown}"
    return ["CMD-SHELL", probe]


def run_checker(image: str, command: str, *, mounts: Sequence[Mapping[str, Any]]) -> str:
    """Return the start of a command line by which a checker of an image looks at a file of the host.

    One more word of ``command`` and the file's path follow; the file is mounted at its own path, and so are
    ``mounts`` (source, target), read-only. The checker has no network, and of root the files, not the powers.
    """
    options = [
        *("--rm", "--network none", "--read-only", "--cap-drop ALL", "--security-opt no-new-privileges"),
        *("--log-driver none", "--user 0:0", f"--entrypoint {command.split()[0]}"),
        *(f"--volume {mount['source']}:{mount['target']}:ro" for mount in mounts),
    ]
    words = " ".join([*command.split()[1:], '"$1" "$2"'])
    run = f'docker run {" ".join(options)} --volume "$2:$2:ro" {image_reference(image)} {words}'
    return f"sh -c 'exec {run}' sh"


def described(container: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return a container with the inventory's additions: lists grow, mappings merge, the rest is replaced.

    Raises AnsibleFilterError where a list or mapping would be something else.
    """
    result = dict(container)
    for key, value in extra.items():
        ours = result.get(key)
        if isinstance(ours, list) and isinstance(value, list):
            result[key] = [*ours, *value]
        elif isinstance(ours, dict) and isinstance(value, dict):
            result[key] = {**ours, **value}
        elif isinstance(ours, list | dict):
            msg = f"{key} must be a {'list' if isinstance(ours, list) else 'mapping'}"
            raise AnsibleFilterError(msg)
        elif value is not None:
            result[key] = value
    return result


def mounted(paths: Sequence[str], *, read_only: bool = True) -> list[dict[str, Any]]:
    """Return mounts of the host's paths at the same paths."""
    return [{"source": path, "target": path, "read_only": read_only} for path in paths]


def collection_there(name: str) -> bool:
    """Say whether the controller has a collection (namespace.name)."""
    try:
        return importlib.util.find_spec(f"ansible_collections.{name}") is not None
    except ModuleNotFoundError:
        return False


def named(names: Sequence[str]) -> list[dict[str, str]]:
    """Return a mapping with each name, as modules want what has more properties than one."""
    return [{"name": name} for name in names]


class FilterModule:
    """The filters of this file, by the names that templates use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return name → function."""
        return {
            "certified_as": certified_as,
            "collection_there": collection_there,
            "described": described,
            "image_fault": image_fault,
            "image_reference": image_reference,
            "is_own_loopback": is_own_loopback,
            "mounted": mounted,
            "named": named,
            "publish": publish,
            "publish_fault": publish_fault,
            "reach": reach,
            "ready_probe": ready_probe,
            "run_checker": run_checker,
        }
