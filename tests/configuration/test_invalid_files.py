"""Every `config_invalid_*.yaml` is refused, for the reason that its first line states, and leaves nothing (A.20)."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway_project.configuration.errors import ConfigurationError
from gateway_project.configuration.importing import import_file
from keys.models import ApiKey
from namespaces.models import Namespace, Upstream
from tests.configuration.conftest import FILES

INVALID = sorted(FILES.glob("config_invalid_*.yaml"))
pytestmark = pytest.mark.django_db


def test_there_are_invalid_files() -> None:
    assert len(INVALID) > 30


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem.removeprefix("config_invalid_"))
def test_an_invalid_file_is_refused_with_its_reason(path: Path) -> None:
    expected = path.read_text().splitlines()[0].removeprefix("# expected: ")
    with pytest.raises(ConfigurationError) as caught:
        import_file(path)
    (problem,) = caught.value.problems
    assert str(problem).startswith(expected)
    assert not Upstream.objects.exists()
    assert not Namespace.objects.exists()
    assert not ApiKey.objects.exists()


def test_all_problems_are_shown_at_once_in_the_files_order(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text(
        "namespaces:\n  a: {url: 'ftp://x', extra: 1}\n  a: {}\n  b: {url: '${NOT_SET_AT_ALL}', allowed_tools: x}\n"
        "auth:\n  api_keys:\n    some-key-0123456789-xyz: {namespaces: [nope]}\nrate_limit: {enabled: maybe}\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        import_file(path)
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (2, "namespaces.a.extra"),
        (2, "namespaces.a.url"),
        (3, "namespaces.a"),
        (4, "namespaces.b.allowed_tools"),
        (4, "namespaces.b.url"),
        (7, 'auth.api_keys."some-…".namespaces'),
        (7, 'auth.api_keys."some-…".user_id'),
        (8, "rate_limit.enabled"),
    ]
    assert str(caught.value).startswith("many.yaml: 8 problems found, so nothing was imported.\n  line 2: namespaces.a")


@pytest.mark.parametrize("listed", ["(a+)+$", "(", ".*", "[", "a|b"])
def test_m3_a_regular_expression_is_taken_to_the_letter(tmp_path: Path, listed: str) -> None:
    path = tmp_path / "literal.yaml"
    path.write_text(f"namespaces: {{a: {{url: 'https://x.example.com', allowed_tools: ['{listed}']}}}}\n")
    import_file(path)
    rule = Namespace.objects.get().rule_set().tools
    assert rule.allows(listed)
    assert not rule.allows("aaaaaaaaaaaaaaaaaaaaaaaaaaaa!")


def test_m3_a_pattern_of_a_hundred_kilobytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    path.write_text(f"namespaces: {{a: {{url: 'https://x.example.com', allowed_tools: ['{'x' * 100_000}']}}}}\n")
    with pytest.raises(ConfigurationError) as caught:
        import_file(path)
    assert len(str(caught.value)) < 1000
