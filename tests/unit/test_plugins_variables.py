"""The filters that find variables no role knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plugins.filter.variables import former_variables, specified_variables, unknown_variables

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = ["prometheus_retention_time", "prometheus_listen_address"]


def test_options_of_all_entry_points_are_known() -> None:
    specs: dict[str, Any] = {
        "argument_specs": {"main": {"options": {"a_x": {}}}, "other": {"options": {"a_y": {}}}, "bare": {}}
    }
    assert specified_variables(specs) == ["a_x", "a_y"]


def test_a_misspelt_variable_is_named_with_the_nearest_known_one() -> None:
    sentences = unknown_variables(["prometheus_retention_tme"], KNOWN, role="prometheus")
    (sentence,) = sentences
    assert sentence == (
        "prometheus_retention_tme is not a variable of role prometheus: "
        "did you mean prometheus_retention_time?"
    )


def test_a_name_near_to_nothing_points_to_the_readme() -> None:
    sentences = unknown_variables(["prometheus_zzzz"], ["prometheus_listen_address"], role="prometheus")
    (sentence,) = sentences
    assert sentence == (
        "prometheus_zzzz is not a variable of role prometheus: "
        "roles/prometheus/README.md lists those it knows."
    )


def test_known_names_pass() -> None:
    assert unknown_variables(KNOWN, KNOWN, role="prometheus") == []


def test_a_longer_roles_variables_are_that_roles_affair() -> None:
    roles = ["claude_hooks", "claude_hooks_extra"]
    names = ["claude_hooks_extra_x", "claude_hooks_y"]
    sentences = unknown_variables(names, [], role="claude_hooks", roles=roles)
    assert [sentence.split()[0] for sentence in sentences] == ["claude_hooks_y"]


def test_a_shorter_roles_check_does_not_claim_names_of_a_role_that_is_not_its_own() -> None:
    assert (
        unknown_variables(["pushgateway_x"], [], role="prometheus", roles=["prometheus", "pushgateway"]) == []
    )


def test_further_prefixes_are_the_roles_own() -> None:
    sentences = unknown_variables(["budgets_x"], [], role="prometheus", prefixes=["budgets"])
    assert len(sentences) == 1


def test_a_renamed_variable_is_an_error_that_names_its_successor() -> None:
    sentences = unknown_variables(
        ["prometheus_retention"],
        KNOWN,
        role="prometheus",
        former={"prometheus_retention": "prometheus_retention_time"},
    )
    assert sentences == [
        "prometheus_retention is now called prometheus_retention_time: rename it in the inventory."
    ]


def test_a_removed_variable_is_an_error_that_says_what_to_do_instead() -> None:
    sentences = unknown_variables(
        ["prometheus_ui"],
        KNOWN,
        role="prometheus",
        former={"prometheus_ui": "Debian leaves it out; delete it."},
    )
    assert sentences == [
        "prometheus_ui is no longer a variable of role prometheus: Debian leaves it out; delete it."
    ]


def test_a_role_that_renamed_nothing_has_no_former_variables(tmp_path: Path) -> None:
    assert former_variables(str(tmp_path), "prometheus") == {}
