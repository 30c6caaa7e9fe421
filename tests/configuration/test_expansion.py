"""`${VAR}` inside values (A.16)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway_project.configuration.reader import Source, read
from tests.configuration.test_reading import plain

ENVIRONMENT = {"HOST": "mcp.example.com", "EMPTY": "", "TRICK": "x}\nauth: {enabled: false}", "NESTED": "${HOST}"}


@pytest.fixture
def expanded(write: Callable[..., Path]) -> Callable[[str], Source]:
    return lambda text: read(write(text), ENVIRONMENT)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("https://${HOST}/mcp", "https://mcp.example.com/mcp"),
        ("${HOST}${HOST}", "mcp.example.commcp.example.com"),
        ("'${HOST}'", "mcp.example.com"),
        ("${MISSING:-fallback}", "fallback"),
        ("${EMPTY:-fallback}", "fallback"),
        ("${MISSING:-}", ""),
        ("${EMPTY}", ""),
        ("$${HOST}", "${HOST}"),
        ("$HOST and $5", "$HOST and $5"),
        ("${NESTED}", "${HOST}"),
        ("'${MISSING:-a:-b}'", "a:-b"),
    ],
)
def test_a_value_is_expanded_once(expanded: Callable[[str], Source], written: str, value: str) -> None:
    source = expanded(f"a: {written}\nb: [{written!r}]" if "'" not in written else f"a: {written}\nb: [{written}]")
    assert plain(source.root) == {"a": value, "b": [value]}
    assert source.problems == ()


def test_a_variable_cannot_change_the_structure(expanded: Callable[[str], Source]) -> None:
    assert plain(expanded("a: ${TRICK}").root) == {"a": ENVIRONMENT["TRICK"]}


def test_every_missing_variable_is_named_with_its_path(expanded: Callable[[str], Source]) -> None:
    source = expanded("a: ${ONE}\nb:\n  c: [x, '${TWO}']\n")
    assert [str(problem) for problem in source.problems] == [
        "line 1: a: the variable ONE is not set; set it, or give a default: ${ONE:-default}",
        "line 3: b.c[1]: the variable TWO is not set; set it, or give a default: ${TWO:-default}",
    ]


@pytest.mark.parametrize("written", ["${", "${}", "${1A}", "${A-b}", "${A B}"])
def test_a_reference_that_cannot_be_read_is_an_error(expanded: Callable[[str], Source], written: str) -> None:
    (problem,) = expanded(f'a: "{written}"').problems
    assert "“${” opens no variable" in problem.message


def test_only_the_keys_of_api_keys_are_expanded(expanded: Callable[[str], Source]) -> None:
    source = expanded('auth: {api_keys: {"${HOST}": {user_id: a}}}\nnamespaces: {"${HOST}": 1}')
    assert plain(source.root) == {
        "auth": {"api_keys": {"mcp.example.com": {"user_id": "a"}}},
        "namespaces": {"${HOST}": "1"},
    }


@pytest.mark.parametrize(
    "name", ["GATEWAY_SECRET_KEY", "GATEWAY_ENCRYPTION_KEYS", "GATEWAY_KEY_PEPPER", "DATABASE_URL"]
)
def test_the_gateways_own_secrets_cannot_be_read_by_a_file(write: Callable[..., Path], name: str) -> None:
    source = read(write(f"a: ${{{name}}}\nb: ${{{name}:-x}}"), {name: "hunter2"})
    assert len(source.problems) == 2
    assert "hunter2" not in str(plain(source.root))
