"""The exporter's configuration: one JSON file, checked whole before anything is opened."""

from __future__ import annotations

import difflib
import ipaddress
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast, get_args
from urllib.parse import urlsplit

from meter.labels import Mode, Options

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES_OF_A_LABEL = 128
MOST_LABELS = 16


class ConfigError(Exception):
    """The file cannot be used; the text is one sentence that says what to change."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener binds: an IP address and a port."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this host can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Pushgateway:
    """Where the totals are pushed to. `interval` is in seconds; secrets are files."""

    url: str
    username: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    interval: float = 15.0


@dataclass(frozen=True, slots=True)
class Web:
    """TLS and users of the listener of `/metrics`: each user's password stands in a file."""

    cert_file: Path
    key_file: Path
    users: Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class Guard:
    """Where the guard to be tested is installed and registered. `interval` is in seconds.

    registered: what the deployment merged into settings of users or projects, which the daemon cannot read.
    """

    hooks_dir: Path
    settings_dir: Path
    interval: float = 300.0
    registered: Path | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the daemon is told. Times are in seconds."""

    instance: str
    journal_dir: Path
    ledger: Path
    listen: Address
    otlp_listen: Address
    transport: str = "pushgateway"
    pushgateway: Pushgateway | None = None
    web: Web | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    user_label: Mode = "full"
    project_label: Mode = "full"
    hash_key_file: Path | None = None
    max_projects: int = 50
    session_timeout: float = 1800.0
    session_linger: float = 900.0
    debut: float = 0.0
    canary_interval: float = 300.0
    guard: Guard | None = None
    certificates: Mapping[str, Path] = field(default_factory=dict)


class _Section:
    """One JSON object that is read key by key; what nobody asked for is refused by name."""

    def __init__(self, values: object, name: str) -> None:
        self.name = name
        if not isinstance(values, dict):
            msg = f"{name or 'the configuration'} must be a JSON object"
            raise ConfigError(msg)
        self.values: dict[str, object] = values
        self.known: list[str] = []

    def refuse(self, key: str, must: str) -> NoReturn:
        where = f"{self.name}.{key}" if self.name else key
        found = f"it is {json.dumps(self.values[key])[:80]}" if key in self.values else "it is missing"
        msg = f"{where} must be {must}; {found}"
        raise ConfigError(msg)

    def text(self, key: str, default: str | None = None, *, must: str = "a text that is not empty") -> str:
        self.known.append(key)
        value = self.values.get(key, default)
        if not isinstance(value, str) or (not value and default is None):
            self.refuse(key, must)
        return value

    def path(self, key: str) -> Path:
        value = Path(self.text(key, must="an absolute path"))
        if not value.is_absolute():
            self.refuse(key, "an absolute path")
        return value

    def optional_path(self, key: str) -> Path | None:
        if self.values.get(key) in (None, ""):
            self.known.append(key)
            return None
        return self.path(key)

    def choice(self, key: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(key, default)
        if value not in allowed:
            self.refuse(key, "one of " + ", ".join(allowed))
        return value

    def number(self, key: str, default: float, *, low: float, high: float) -> float:
        self.known.append(key)
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.refuse(key, f"a number from {low:g} to {high:g}")
        if not (math.isfinite(value) and low <= value <= high):
            self.refuse(key, f"a number from {low:g} to {high:g}")
        return value

    def address(self, key: str, default: str) -> Address:
        must = 'an IP address and a port, for example "127.0.0.1:9468"'
        host, _, port = self.text(key, default, must=must).rpartition(":")
        try:
            ip = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
            number = int(port)
        except ValueError:
            self.refuse(key, must)
        if not 1 <= number <= 65535:
            self.refuse(key, must)
        return Address(str(ip), number)

    def section(self, key: str) -> _Section | None:
        self.known.append(key)
        if self.values.get(key) is None:
            return None
        return _Section(self.values[key], f"{self.name}.{key}" if self.name else key)

    def texts(self, key: str) -> dict[str, str]:
        self.known.append(key)
        value = self.values.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            self.refuse(key, "a JSON object whose values are texts")
        return dict(value)

    def done(self) -> None:
        for key in self.values:
            if key not in self.known:
                near = difflib.get_close_matches(key, self.known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(self.known)}"
                raise ConfigError(f"{self.name}.{key} is unknown{hint}".removeprefix("."))


def load(path: Path) -> Config:
    """Read and check the file at `path`.

    Raises ConfigError with one sentence that names the file and what to change in it.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise ConfigError(msg) from error
    try:
        return parse(json.loads(text))
    except ValueError as error:
        msg = f"{path} is not JSON: {error}"
        raise ConfigError(msg) from error
    except ConfigError as error:
        msg = f"{path}: {error}"
        raise ConfigError(msg) from error


def parse(values: object) -> Config:
    """Make a Config of a decoded file. Raises ConfigError."""
    top = _Section(values, "")
    config = Config(
        instance=top.text("instance"),
        journal_dir=top.path("journal_dir"),
        ledger=top.path("ledger"),
        listen=top.address("listen", "127.0.0.1:9468"),
        otlp_listen=top.address("otlp_listen", "127.0.0.1:4318"),
        transport=top.choice("transport", "pushgateway", ("pushgateway", "scrape")),
        pushgateway=_pushgateway(top.section("pushgateway")),
        web=_web(top.section("web_config")),
        labels=top.texts("labels"),
        user_label=cast("Mode", top.choice("user_label", "full", get_args(Mode))),
        project_label=cast("Mode", top.choice("project_label", "full", get_args(Mode))),
        hash_key_file=top.optional_path("hash_key_file"),
        max_projects=int(top.number("max_projects", 50, low=1, high=1000)),
        session_timeout=top.number("session_timeout", 1800, low=10, high=604800),
        session_linger=top.number("session_linger", 900, low=0, high=604800),
        debut=top.number("debut", 0, low=0, high=3600),
        canary_interval=top.number("canary_interval", 300, low=1, high=600),
        guard=_guard(top.section("guard")),
        certificates=_certificates(top.section("certificates")),
    )
    top.done()
    _check(config)
    return config


def _pushgateway(section: _Section | None) -> Pushgateway | None:
    if section is None:
        return None
    gateway = Pushgateway(
        url=section.text("url"),
        username=section.text("username", ""),
        password_file=section.optional_path("password_file"),
        ca_file=section.optional_path("ca_file"),
        interval=section.number("interval", 15, low=1, high=3600),
    )
    section.done()
    parts = urlsplit(gateway.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        section.refuse("url", "http://HOST:PORT or https://HOST:PORT without user, password or query")
    if bool(gateway.username) != bool(gateway.password_file):
        raise ConfigError("pushgateway.username and pushgateway.password_file go together")
    return gateway


def _guard(section: _Section | None) -> Guard | None:
    if section is None:
        return None
    guard = Guard(
        hooks_dir=section.path("hooks_dir"),
        settings_dir=section.path("settings_dir"),
        interval=section.number("interval", 300, low=1, high=3600),
        registered=section.optional_path("registered"),
    )
    section.done()
    return guard


def _certificates(section: _Section | None) -> dict[str, Path]:
    if section is None:
        return {}
    found = {name: section.optional_path(name) for name in ("host", "ca")}
    section.done()
    return {name: path for name, path in found.items() if path}


def _web(section: _Section | None) -> Web | None:
    if section is None:
        return None
    users = {user: Path(file) for user, file in section.texts("users").items()}
    web = Web(cert_file=section.path("cert_file"), key_file=section.path("key_file"), users=users)
    section.done()
    if not users or not all(user and ":" not in user and file.is_absolute() for user, file in users.items()):
        section.refuse("users", "a user's name with the absolute path of their password's file")
    return web


def _check(config: Config) -> None:
    """Refuse what is well-formed but does not fit together."""
    if config.transport == "pushgateway" and config.pushgateway is None:
        raise ConfigError("transport pushgateway needs pushgateway.url; set it, or transport to scrape")
    if not config.otlp_listen.loopback:
        msg = (
            f"otlp_listen {config.otlp_listen} would let other hosts write into the numbers; "
            "use an address on loopback, for example 127.0.0.1:4318"
        )
        raise ConfigError(msg)
    if not config.listen.loopback and config.web is None:
        msg = f"listen {config.listen} is not on loopback and needs web_config with TLS and users"
        raise ConfigError(msg)
    if config.listen == config.otlp_listen:
        msg = f"listen and otlp_listen are both {config.listen}; give them different ports"
        raise ConfigError(msg)
    if "hashed" in (config.user_label, config.project_label) and config.hash_key_file is None:
        raise ConfigError("user_label or project_label is hashed and needs hash_key_file")
    if len(config.labels) > MOST_LABELS:
        message = f"labels must be at most {MOST_LABELS}; there are {len(config.labels)}"
        raise ConfigError(message)
    for name, value in config.labels.items():
        if not value.isprintable() or len(value.encode()) > MOST_BYTES_OF_A_LABEL:
            message = f"labels.{name} must be printable and at most {MOST_BYTES_OF_A_LABEL} bytes"
            raise ConfigError(message)
    _options(config, hash_key="-" * 16)


def options(config: Config) -> Options:
    """Return what the ledger is told. Raises ConfigError if the hash key cannot be read or will not do."""
    return _options(config, hash_key=secret(config.hash_key_file) if config.hash_key_file else "")


def _options(config: Config, *, hash_key: str) -> Options:
    try:
        return Options(
            constant_labels=config.labels,
            user_label=config.user_label,
            project_label=config.project_label,
            hash_key=hash_key,
            max_projects=config.max_projects,
            session_timeout=config.session_timeout,
            session_linger=config.session_linger,
            debut=config.debut,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def secret(path: Path) -> str:
    """Read a one-line secret, without its newline. Raises ConfigError if there is none."""
    try:
        value = path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the secret {path} cannot be read: {error}"
        raise ConfigError(msg) from error
    if not value or "\n" in value:
        msg = f"the secret {path} must be one line that is not empty"
        raise ConfigError(msg)
    return value
