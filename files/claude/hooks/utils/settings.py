"""Where a hook finds its configuration, and what it says."""

from __future__ import annotations

import os
import sys

from utils.quickjson import loads

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME = "claude-code-observability"
INSTALLED_JOURNAL = f"/var/lib/{NAME}/journal"
INSTALLED_POLICY = f"/etc/{NAME}/policy.json"
MANAGED = (
    "/Library/Application Support/ClaudeCode" if sys.platform == "darwin" else "/etc/claude-code"
) + "/managed-settings.d/50-observability-hooks.json"
INSTALLED_HOOKS = f"/usr/local/lib/{NAME}/hooks/"

# Every key of hooks.json and of the copied bundle's config.json, its type, and the variable that gives it to
# a copied bundle whose config.json does not.
KEYS: dict[str, tuple[type, str]] = {
    "journal_dir": (str, "CLAUDE_OBSERVABILITY_JOURNAL_DIR"),
    "policy": (str, "CLAUDE_OBSERVABILITY_POLICY"),
    "shfmt": (str, "CLAUDE_OBSERVABILITY_SHFMT"),
    "exporter": (bool, ""),
    "instance": (str, "CLAUDE_OBSERVABILITY_INSTANCE"),
    "labels": (dict, ""),
    "pushgateway": (dict, ""),
    "notification": (dict, ""),
    "tool_log": (str, ""),
    "metrics_url": (str, ""),
    "prometheus_url": (str, "CLAUDE_OBSERVABILITY_PROMETHEUS_URL"),
}
PUSHGATEWAYS = ("CLAUDE_OBSERVABILITY_PUSHGATEWAY_URL", "PROMETHEUS_PUSH_GATEWAY")
LABELS = "CLAUDE_OBSERVABILITY_LABELS"


class Settings:
    """One hook's configuration.

    installed: the command names its configuration by ``--config``; a bundle copied into a project does not.
    active: whether this is counted. A trial (``--trial``) decides and leaves no trace; so does a copied
        bundle on a host whose installed hooks journal the same events already.
    error: one sentence when the configuration cannot be used, else empty. Telemetry then goes on with the
        defaults; the guard must block.
    journal_dir, state_dir: absolute directories; without an exporter they are the same.
    policy: the guard's policy file, or empty for its built-in policy.
    shfmt: path of the guard's parser, or empty to look where packages put it.
    exporter: a daemon reads the journal; without one the sender brings it to the Pushgateway.
    instance, labels, pushgateway: for the sender without an exporter; pushgateway has ``url``, ``username``,
        ``password_file``, ``ca_file``.
    notification: how notifications are spoken or shown.
    tool_log: the file in which finished calls are written down, masked; empty for none.
    metrics_url, prometheus_url: of the exporter and of Prometheus, for the slash commands; without a path.
    environ: the environment the hook was started with.
    """

    __slots__ = (
        "active",
        "environ",
        "error",
        "exporter",
        "installed",
        "instance",
        "journal_dir",
        "labels",
        "metrics_url",
        "notification",
        "policy",
        "prometheus_url",
        "pushgateway",
        "shfmt",
        "state_dir",
        "tool_log",
    )

    def __init__(self, *, installed: bool, trial: bool, environ: Mapping[str, str]) -> None:
        self.installed = installed
        self.environ = environ
        self.active = not trial and (installed or not registered_in(environ))
        self.error = ""
        state = environ.get("XDG_STATE_HOME", "")
        if not state.startswith("/"):  # the XDG specification: a relative path counts as unset
            state = os.path.expanduser("~/.local/state")
        self.state_dir = f"{state}/{NAME}"
        self.journal_dir = INSTALLED_JOURNAL if installed else self.state_dir
        self.policy = INSTALLED_POLICY if installed else ""
        self.shfmt = ""
        self.exporter = installed
        self.instance = ""
        self.labels: dict[str, str] = {}
        self.pushgateway: dict[str, str] = {}
        self.notification: dict[str, object] = {}
        self.tool_log = ""
        self.metrics_url = "http://127.0.0.1:9468"
        self.prometheus_url = ""


def registered_in(environ: Mapping[str, str]) -> str:
    """Return the file that registers the installed hooks for this session: the host's, user's or project's.

    Returns nothing where only a copy of the bundle, or none at all, does.
    """
    if os.path.lexists(MANAGED):
        return MANAGED
    own = environ.get("CLAUDE_CONFIG_DIR") or os.path.expanduser("~/.claude")
    project = environ.get("CLAUDE_PROJECT_DIR")
    for directory in (own, f"{project}/.claude" if project else ""):
        try:
            with open(f"{directory}/settings.json", "rb") as file:
                if INSTALLED_HOOKS.encode() in file.read():
                    return file.name
        except OSError:
            continue
    return ""


def load(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Return the settings for the command line `argv` (with the script first) and `environ`; never raises.

    ``--config FILE`` is the whole configuration of installed hooks: no variable of the environment, which a
    project may set, weakens it. A copied bundle reads ``config.json`` beside it, then the environment.
    """
    config = ""
    for index, argument in enumerate(argv):
        if argument == "--config":
            config = argv[index + 1] if index + 1 < len(argv) else "-"
        elif argument.startswith("--config="):
            config = argument[9:]
    settings = Settings(installed=bool(config), trial="--trial" in argv, environ=environ)
    if config:
        values = _read(config, settings)
    else:
        here = os.path.dirname(os.path.abspath(argv[0]))
        if os.path.exists(f"{here}/policy.json"):
            settings.policy = f"{here}/policy.json"
        values = _read(f"{here}/config.json", settings) if os.path.exists(f"{here}/config.json") else {}
        for key, (_, variable) in KEYS.items():
            if variable and key not in values and environ.get(variable):
                values[key] = environ[variable]
        if not settings.error:
            _from_environment(values, settings)
    for key, value in values.items():
        setattr(settings, key, value)
    return settings


def _from_environment(values: dict[str, object], settings: Settings) -> None:
    """Add what `values` lack and variables of no single text say; what is wrong goes to `settings.error`."""
    for variable in PUSHGATEWAYS:
        address = settings.environ.get(variable, "")
        if address and "pushgateway" not in values:
            values["pushgateway"] = {"url": address if "://" in address else f"http://{address}"}
    text = settings.environ.get(LABELS, "")
    if text and "labels" not in values:
        labels = {}
        for pair in text.split(","):
            name, equals, value = pair.partition("=")
            if not equals or not name.strip():
                settings.error = f"{LABELS} must be NAME=VALUE,NAME=VALUE, and has {pair!r}"
                return
            labels[name.strip()] = value.strip()
        values["labels"] = labels


def _read(path: str, settings: Settings) -> dict[str, object]:
    """Return the object in `path`, or nothing and the reason in `settings.error`."""
    try:
        with open(path, "rb") as file:
            values = loads(file.read())
    except (OSError, ValueError, RecursionError) as error:
        settings.error = f"{path} cannot be read as JSON: {error}"
        return {}
    if not isinstance(values, dict):
        settings.error = f"{path} must hold one JSON object"
        return {}
    for key, value in values.items():
        if key not in KEYS:
            settings.error = f"{path}: unknown key {key!r}; known are {', '.join(sorted(KEYS))}"
            return {}
        if not isinstance(value, KEYS[key][0]):
            settings.error = f"{path}: {key} must be of type {KEYS[key][0].__name__}"
            return {}
    return values
