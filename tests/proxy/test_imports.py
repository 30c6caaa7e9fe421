"""Imports go one way, and what runs on every request knows nothing of the database."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# From the ground up: each may import what stands before it.
APPS = ["namespaces", "keys", "analytics", "proxy", "gateway_project"]
# Modules that must load without Django's settings and without its ORM.
PURE = [
    *(
        f"proxy.{name}"
        for name in (
            "errors jsonrpc head era policy sessions filtering exchange response relay stream_relay upstream"
            " bare discovery strangers limits.table limits.limiter limits.rules limits.shared"
            " quotas.budget quotas.purses within"
        ).split()
    ),
    "namespaces.sse",
    "namespaces.strict_json",
]


def imported(path: Path) -> set[str]:
    """Return the first parts of the modules that a file imports anywhere, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("app", APPS)
def test_imports_go_one_way(app: str) -> None:
    forbidden = {*APPS[APPS.index(app) + 1 :], "tests"}
    offenders = {
        str(path.relative_to(ROOT)): found
        for path in (ROOT / app).rglob("*.py")
        if (found := imported(path) & forbidden)
    }
    assert not offenders


def test_only_the_snapshot_imports_models() -> None:
    users = set()
    for path in (ROOT / "proxy").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(("models", "django.db.models")):
                users.add(path.name)
    assert users == {"snapshot.py"}


@pytest.mark.parametrize("module", PURE)
def test_the_hot_path_loads_without_django(module: str) -> None:
    program = f"import sys, {module}\nassert 'django.db.models' not in sys.modules"
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# Who may speak SQL to the tables of what happened: one package reads, the others fill and keep them.
SPEAKS_SQL = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|COPY)\s+analytics_(?:requestlog|rollup|stale)")
READERS = {"analytics/queries"}
KEEPERS = {
    "analytics/blocks.py",
    "analytics/partitions.py",
    "analytics/rollup_sql.py",
    "analytics/rollup_trails.py",
    "analytics/rollup_work.py",
    "analytics/rollups.py",
    "analytics/seed_rows.py",
    "analytics/shipper.py",
    "analytics/management/commands/seed_log.py",
}


def test_all_analytic_sql_stands_in_one_package() -> None:
    offenders = set()
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            name = str(path.relative_to(ROOT))
            own = name in KEEPERS or any(name.startswith(f"{reader}/") for reader in READERS) or "/migrations/" in name
            if not own and SPEAKS_SQL.search(path.read_text()):
                offenders.add(name)
    assert not offenders


def test_the_search_for_sql_finds_what_it_is_after() -> None:
    assert SPEAKS_SQL.search("SELECT count(*)\n    FROM analytics_requestlog WHERE at > now()")
    assert any(SPEAKS_SQL.search(path.read_text()) for path in (ROOT / "analytics/queries").glob("*.py"))
