"""Settings of limits: what they are called, what they mean, and what is refused at the start."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from namespaces.rules import NameRule, RuleSet
from proxy.entries import KeyEntry, NamespaceEntry
from proxy.limits.limit import MAX_WINDOW_REQUESTS
from proxy.limits.rules import Defaults, LimitRule, Terms
from tests.gateway import ROOT

PRINT = """
from django.conf import settings
print(settings.DEFAULT_RPM, settings.DEFAULT_BURST, settings.RATE_LIMIT_STRATEGY, settings.RATE_LIMITS_ENABLED,
      settings.REDIS_URL or None, settings.RATE_LIMIT_DOWN, settings.REDIS_TIMEOUT_S)
"""


def read(**env: str) -> tuple[int, str]:
    """Return the exit code and the output of a process that reads the settings."""
    clean = {name: value for name, value in os.environ.items() if "RATE_LIMIT" not in name and name != "REDIS_URL"}
    clean |= {"DJANGO_SETTINGS_MODULE": "gateway_project.settings", "GATEWAY_ENV_FILE": os.devnull} | env
    done = subprocess.run(
        [sys.executable, "-c", PRINT], cwd=ROOT, env=clean, capture_output=True, text=True, check=False
    )
    return done.returncode, (done.stdout or done.stderr).strip()


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "None 10 token_bucket True None open 0.25"),
        (
            {"GATEWAY_RATE_LIMIT__DEFAULT_RPM": "60", "GATEWAY_RATE_LIMIT__BURST_ALLOWANCE": "5"},
            "60 5 token_bucket True None open 0.25",
        ),
        (
            {"GATEWAY_RATE_LIMIT__DEFAULT_RPM": "60", "GATEWAY_DEFAULT_RPM": "7", "GATEWAY_DEFAULT_BURST": "3"},
            "7 3 token_bucket True None open 0.25",
        ),
        (
            {
                "GATEWAY_RATE_LIMIT__STRATEGY": "sliding_window",
                "GATEWAY_RATE_LIMIT__ENABLED": "false",
                "GATEWAY_RATE_LIMIT__REDIS_URL": "redis://r/1",
                "GATEWAY_RATE_LIMIT_DOWN": "closed",
            },
            "None 10 sliding_window False redis://r/1 closed 0.25",
        ),
    ],
)
def test_c21_names_are_understood_and_ours_win(env: dict[str, str], said: str) -> None:
    assert read(**env) == (0, said)


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"GATEWAY_RATE_LIMIT__STRATEGY": "fixed_window"}, "must be token_bucket or sliding_window"),
        ({"GATEWAY_RATE_LIMIT__DEFAULT_RPM": "-5"}, "GATEWAY_RATE_LIMIT__DEFAULT_RPM is -5"),
        ({"GATEWAY_RATE_LIMIT_DOWN": "maybe"}, "must be open or closed"),
        ({"REDIS_URL": "http://:hush-password@r"}, "REDIS_URL must begin with redis://"),
    ],
)
def test_what_cannot_be_stops_the_start_and_names_the_setting(env: dict[str, str], said: str) -> None:
    code, output = read(**env)
    assert code != 0 and said in output and "hush-password" not in output


DEFAULTS = Defaults(60, 10, "token_bucket")


@pytest.mark.parametrize(
    ("defaults", "row", "terms"),
    [
        (DEFAULTS, (None, 5, ""), None),
        (DEFAULTS, (0, None, ""), Terms(0, 10, 60, False)),
        (DEFAULTS, (-1, None, "", 3600), Terms(60, 10, 60, False)),
        (DEFAULTS, (-1, 4, "sliding_window"), Terms(60, 4, 60, True)),
        (DEFAULTS, (5, None, "", 3600), Terms(5, 10, 3600, False)),
        (Defaults(None), (-1, None, ""), None),
        (Defaults(algorithm="sliding_window"), (5, None, ""), Terms(5, 10, 60, True)),
        (Defaults(algorithm="sliding_window"), (5, None, "token_bucket"), Terms(5, 10, 60, False)),
        (Defaults(algorithm="sliding_window"), (MAX_WINDOW_REQUESTS + 1, None, ""), Terms(100_001, 10, 60, False)),
        (Defaults(enabled=False), (0, None, ""), None),
    ],
)
def test_blank_minus_one_and_zero(defaults: Defaults, row: tuple[object, ...], terms: Terms | None) -> None:
    assert defaults.terms(*row) == terms  # type: ignore[arg-type]


def test_a_rule_names_itself_by_what_the_caller_knows() -> None:
    """No pattern, no name of another user, of another namespace or of the limit ever stands in kind or scope."""
    key, docs = KeyEntry(7, "alice", True, None, None), NamespaceEntry(3, "docs", RuleSet(), None)
    terms = Terms(5, 1, 60, False)
    one, some = NameRule.build("listed", ["search"], ()), NameRule.build("listed", ["search", "hidden*"], ())
    expected = [
        (("together",), ("global", "gateway")),
        (("each_key",), ("key", "alice #7")),
        (("each_user",), ("user", "alice")),
        (("each_namespace",), ("namespace", "docs")),
        (("together", 3), ("namespace", "docs")),
        (("each_key", 3), ("grant", "docs")),
        (("each_user", 3), ("user", "alice")),
        (("together", None, "alice"), ("user", "alice")),
        (("together", 3, "", one), ("tool", "docs/search")),
        (("each_key", None, "", some), ("tool", "docs")),
    ]
    for row, named in expected:
        limit = LimitRule(1, terms, *row).limit(key, docs)  # type: ignore[arg-type]
        assert limit is not None and (limit.kind, limit.scope) == named
    assert LimitRule(1, terms, "together", 4).limit(key, docs) is None
    assert LimitRule(1, terms, "together", None, "bob").limit(key, docs) is None
