"""grafana.ini says what the inventory says, and nothing that slips in between the lines."""

from __future__ import annotations

from configparser import ConfigParser
from typing import Any

import pytest

from plugins.filter.grafana import grafana_ini, grafana_ini_fault


def test_sections_names_and_values_are_written_as_grafana_reads_them() -> None:
    settings = {
        "server": {"http_port": 3000, "enable_gzip": True, "domain": "x.example"},
        "": {"app_mode": "production"},
        "auth.anonymous": {"enabled": False, "org_name": None},
    }
    assert grafana_ini(settings) == (
        "app_mode = production\n\n"
        "[auth.anonymous]\nenabled = false\norg_name = \n\n"
        "[server]\nhttp_port = 3000\nenable_gzip = true\ndomain = x.example"
    )


def test_a_value_that_looks_like_a_comment_is_quoted() -> None:
    assert grafana_ini({"smtp": {"password": "a;b#c"}}) == '[smtp]\npassword = """a;b#c"""'


def test_another_reader_of_ini_files_finds_the_same() -> None:
    parser = ConfigParser(interpolation=None)
    parser.read_string(
        grafana_ini({"security": {"admin_password": "$__file{/etc/x}", "cookie_secure": True}})
    )
    assert dict(parser["security"]) == {"admin_password": "$__file{/etc/x}", "cookie_secure": "true"}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"server": "x"}, "'server' is not a section"),
        ({"a]\n[b": {}}, "is not a section"),
        ({"server": {"a b": 1}}, "'a b' in section server is not the name"),
        ({"server": {"domain": "x\n[security]"}}, "domain in section server must be one line"),
        ({"server": {"domain": ["x"]}}, "domain in section server must be one line"),
    ],
)
def test_what_an_ini_file_cannot_say_is_refused_by_name(settings: dict[str, Any], says: str) -> None:
    assert says in grafana_ini_fault(settings)
    with pytest.raises(ValueError, match="section"):
        grafana_ini(settings)


def test_good_settings_have_no_fault() -> None:
    assert grafana_ini_fault({"server": {"domain": "x"}}) == ""
