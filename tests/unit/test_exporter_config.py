"""The exporter's configuration: what is refused, and in which words."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from claude_code_exporter.config import Address, ConfigError, load, options, parse, secret
from meter import __version__

GATEWAY = {"url": "http://127.0.0.1:9091"}
WEB = {"cert_file": "/c", "key_file": "/k", "users": {"prometheus": "/p"}}


def config(**changes: object) -> dict[str, Any]:
    values: dict[str, Any] = {
        "instance": "dev-1",
        "journal_dir": "/var/journal",
        "ledger": "/var/ledger.sqlite",
        "pushgateway": GATEWAY,
    }
    values.update(changes)
    return {key: value for key, value in values.items() if value is not Ellipsis}


def test_what_is_not_said_has_the_documented_default() -> None:
    made = parse(config())
    assert str(made.listen) == "127.0.0.1:9468"
    assert str(made.otlp_listen) == "127.0.0.1:4318"
    assert (made.transport, made.user_label, made.project_label) == ("pushgateway", "full", "full")
    assert (made.max_projects, made.session_timeout, made.session_linger) == (50, 1800, 900)
    assert made.pushgateway is not None
    assert made.pushgateway.interval == 15


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"instance": ...}, "instance must be a text that is not empty; it is missing"),
        ({"journal_dir": "journal"}, 'journal_dir must be an absolute path; it is "journal"'),
        (
            {"listen": "localhost:9468"},
            'listen must be an IP address and a port, for example "127.0.0.1:9468"; it is "localhost:9468"',
        ),
        (
            {"listen": "127.0.0.1:70000"},
            'listen must be an IP address and a port, for example "127.0.0.1:9468"; it is "127.0.0.1:70000"',
        ),
        (
            {"listen": "0.0.0.0:9468"},
            "listen 0.0.0.0:9468 is not on loopback and needs web_config with TLS and users",
        ),
        (
            {"otlp_listen": "10.0.0.1:4318"},
            (
                "otlp_listen 10.0.0.1:4318 would let other hosts write into the numbers; "
                "use an address on loopback, for example 127.0.0.1:4318"
            ),
        ),
        (
            {"listen": "127.0.0.1:4318"},
            "listen and otlp_listen are both 127.0.0.1:4318; give them different ports",
        ),
        ({"pushgatway": GATEWAY}, "pushgatway is unknown; did you mean pushgateway?"),
        (
            {"pushgateway": None},
            "transport pushgateway needs pushgateway.url; set it, or transport to scrape",
        ),
        (
            {"pushgateway": {"url": "monitor:9091"}},
            (
                "pushgateway.url must be http://HOST:PORT or https://HOST:PORT without user, "
                'password or query; it is "monitor:9091"'
            ),
        ),
        (
            {"pushgateway": {**GATEWAY, "username": "push"}},
            "pushgateway.username and pushgateway.password_file go together",
        ),
        (
            {"pushgateway": {**GATEWAY, "interval": True}},
            "pushgateway.interval must be a number from 1 to 3600; it is true",
        ),
        (
            {"pushgateway": {**GATEWAY, "intervall": 5}},
            "pushgateway.intervall is unknown; did you mean interval?",
        ),
        ({"transport": "smoke"}, 'transport must be one of pushgateway, scrape; it is "smoke"'),
        ({"labels": {"team": 7}}, 'labels must be a JSON object whose values are texts; it is {"team": 7}'),
        (
            {"labels": {"user": "x"}},
            "the label 'user' cannot be put on every series: choose a name that no metric uses",
        ),
        ({"labels": {"team": "a\nb"}}, "labels.team must be printable and at most 128 bytes"),
        ({"user_label": "hashed"}, "user_label or project_label is hashed and needs hash_key_file"),
        ({"session_timeout": 1}, "session_timeout must be a number from 10 to 604800; it is 1"),
        (
            {"web_config": {**WEB, "users": {}}},
            (
                "web_config.users must be a user's name with the absolute path of their password's file; "
                "it is {}"
            ),
        ),
    ],
)
def test_a_wrong_configuration_is_refused_in_one_sentence(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(config(**changes))
    assert str(refusal.value) == sentence


def test_a_listener_off_loopback_is_taken_with_tls_and_users() -> None:
    assert parse(config(listen="[::]:9468", web_config=WEB)).listen == Address("::", 9468)


def test_the_sentence_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "exporter.json"
    with pytest.raises(ConfigError, match=f"{file} cannot be read: No such file or directory"):
        load(file)
    file.write_text("{")
    with pytest.raises(ConfigError, match=f"{file} is not JSON: Expecting property name"):
        load(file)
    file.write_text(json.dumps(config(transport="smoke")))
    with pytest.raises(ConfigError, match=f"{file}: transport must be one of"):
        load(file)


def test_the_hash_key_comes_from_its_file_and_must_be_long(tmp_path: Path) -> None:
    file = tmp_path / "key"
    made = parse(config(user_label="hashed", hash_key_file=str(file)))
    with pytest.raises(ConfigError, match=f"the secret {file} cannot be read"):
        options(made)
    file.write_text("short\n")
    with pytest.raises(ConfigError, match="hash key of at least 16 characters"):
        options(made)
    file.write_text("0123456789abcdef\n")
    assert options(made).hash_key == "0123456789abcdef"


def test_a_secret_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("one\ntwo\n")
    with pytest.raises(ConfigError, match="must be one line that is not empty"):
        secret(file)


def test_the_version_is_that_of_the_project() -> None:
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'\nversion = "{__version__}"\n' in pyproject


def test_the_controller_is_told_the_same_sentence_before_a_host_is_changed() -> None:
    """The filter of role claude_exporter asks this very check."""
    spec = importlib.util.spec_from_file_location(
        "exporter_config", Path(__file__).parents[2] / "plugins/filter/exporter_config.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    problem = module.FilterModule().filters()["exporter_config_problem"]
    assert problem(config()) == ""
    assert problem(config(transport="smoke")) == 'transport must be one of pushgateway, scrape; it is "smoke"'
