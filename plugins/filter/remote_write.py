"""Where Prometheus writes samples to: what is wrong with an entry, and where its secrets are kept."""

from __future__ import annotations

import difflib
import ipaddress
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# As Prometheus 2.42 documents remote_write; None stands for a value that it checks by itself.
KEYS: dict[str, tuple[str, ...] | None] = {
    "url": None,
    "name": None,
    "remote_timeout": None,
    "headers": None,
    "write_relabel_configs": None,
    "send_exemplars": None,
    "send_native_histograms": None,
    "follow_redirects": None,
    "proxy_url": None,
    "basic_auth": ("username", "password", "password_file"),
    "authorization": ("type", "credentials", "credentials_file"),
    "oauth2": None,
    "sigv4": None,
    "tls_config": (
        "ca_file",
        "cert_file",
        "key_file",
        "server_name",
        "insecure_skip_verify",
        "min_version",
    ),
    "queue_config": (
        "capacity",
        "max_shards",
        "min_shards",
        "max_samples_per_send",
        "batch_send_deadline",
        "min_backoff",
        "max_backoff",
        "retry_on_http_429",
        "sample_age_limit",
    ),
    "metadata_config": ("send", "send_interval", "max_samples_per_send"),
}
IDENTITIES = ("basic_auth", "authorization", "oauth2", "sigv4")
# Which key holds a secret, and which one the name of its file.
SECRETS = {"basic_auth": ("password", "password_file"), "authorization": ("credentials", "credentials_file")}
DURATION = re.compile(r"([0-9]+(ms|[smhdwy]))+")
DURATIONS = ("batch_send_deadline", "min_backoff", "max_backoff", "sample_age_limit")
NUMBERS = ("capacity", "max_shards", "min_shards", "max_samples_per_send")
HEADER = re.compile(r"[A-Za-z0-9-]+")


def remote_write_fault(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return one sentence about the first thing that Prometheus or prudence would refuse, or an empty text.

    No sentence holds a secret, nor the user and password that a URL may bring.
    """
    names: list[str] = []
    for number, entry in enumerate(entries, 1):
        where = f"entry {number}"
        for fault in _faults(entry):
            return f"{where}: {fault}"
        name = str(entry.get("name") or "")
        if name and name in names:
            return f"{where}: another entry has the name {name}, too; give each its own."
        names.append(name)
    return ""


def _faults(entry: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown(entry, KEYS, "")
    for key, known in KEYS.items():
        value = entry.get(key)
        if known and value is not None:
            if not hasattr(value, "items"):
                yield f"{key} holds settings by name, as in {{{known[0]}: …}}."
                return
            yield from _unknown(value, known, f"{key}.")
    yield from _url_faults(str(entry.get("url") or ""))
    yield from _identity_faults(entry)
    yield from _queue_faults(entry.get("queue_config") or {})
    if (entry.get("tls_config") or {}).get("insecure_skip_verify"):
        yield "insecure_skip_verify would send everything to whoever answers; name the authority in ca_file."
    for header in entry.get("headers") or {}:
        if not HEADER.fullmatch(str(header)) or str(header).lower() == "authorization":
            yield f"the header {header!r} can't be set; who writes belongs in authorization or basic_auth."


def _unknown(
    given: Mapping[str, Any], known: Mapping[str, Any] | Sequence[str], prefix: str
) -> Iterator[str]:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), list(known), n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known are {', '.join(known)}."
            yield f"there is no setting {prefix}{key}; {hint}"


def _url_faults(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield "url must be an address like https://metrics.example.com/api/v1/write."
    elif parts.username or parts.password:
        yield "the url holds a user or a password; put them into basic_auth."
    elif parts.scheme == "http" and not _loopback(parts.hostname):
        yield f"numbers would travel to {parts.hostname} unencrypted; write https://."


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _identity_faults(entry: Mapping[str, Any]) -> Iterator[str]:
    given = [key for key in IDENTITIES if entry.get(key)]
    if len(given) > 1:
        yield f"{' and '.join(given)} exclude each other; keep one."
    for key in given:
        secret, file = SECRETS.get(key, ("", ""))
        if not secret:
            continue
        if bool(entry[key].get(secret)) == bool(entry[key].get(file)):
            yield f"{key} needs {secret} or {file}, one of them."
        if entry[key].get(file) and not str(entry[key][file]).startswith("/"):
            yield f"{key}.{file} is no full path of a file on the host."
        if key == "basic_auth" and not entry[key].get("username"):
            yield "basic_auth needs a username."


def _queue_faults(queue: Mapping[str, Any]) -> Iterator[str]:
    for key in DURATIONS:
        if key in queue and not DURATION.fullmatch(str(queue[key])):
            yield f"queue_config.{key} is {queue[key]}: write a duration, as in 30s."
    for key in NUMBERS:
        value = queue.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            yield f"queue_config.{key} is {value}: write a whole number, 1 or more."
    if queue.get("min_shards", 1) > queue.get("max_shards", queue.get("min_shards", 1)):
        yield "queue_config.min_shards is more than max_shards."


def remote_write_secrets(entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the secrets that entries hold themselves, by the name of the file that is to keep each."""
    return {
        f"{number}.{secret}": str(entry[key][secret])
        for number, entry in enumerate(entries, 1)
        for key, (secret, _) in SECRETS.items()
        if (entry.get(key) or {}).get(secret)
    }


def remote_write_files(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the files of secrets on the host that entries name."""
    return [
        str(entry[key][file])
        for entry in entries
        for key, (_, file) in SECRETS.items()
        if (entry.get(key) or {}).get(file)
    ]


def remote_write_config(entries: Sequence[Mapping[str, Any]], *, directory: str) -> list[dict[str, Any]]:
    """Return the entries for ``prometheus.yml``: instead of secrets they name the files in ``directory``."""
    written = []
    for number, entry in enumerate(entries, 1):
        config = dict(entry)
        for key, (secret, file) in SECRETS.items():
            if (entry.get(key) or {}).get(secret):
                rest = {name: value for name, value in entry[key].items() if name != secret}
                config[key] = {**rest, file: f"{directory}/{number}.{secret}"}
        written.append(config)
    return written


class FilterModule:
    """The filters of this file, by the names that templates use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return name → function."""
        return {
            "remote_write_config": remote_write_config,
            "remote_write_fault": remote_write_fault,
            "remote_write_files": remote_write_files,
            "remote_write_secrets": remote_write_secrets,
        }
