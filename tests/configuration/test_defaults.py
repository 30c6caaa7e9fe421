"""What a file says about the server (A.16), and how it is handed to `serve`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway_project.configuration.defaults import file_defaults
from gateway_project.configuration.errors import ConfigurationError
from tests.configuration.conftest import FILES

Write = Callable[..., Path]


def test_a16_host_port_and_database_are_defaults() -> None:
    assert file_defaults(FILES / "config_valid.yaml") == {
        "GATEWAY_HOST": "0.0.0.0",
        "GATEWAY_PORT": "9090",
        "GATEWAY_DB_PATH": "gateway.data",
    }


def test_what_the_file_does_not_say_is_no_default() -> None:
    assert file_defaults(FILES / "config_minimal.yaml") == {}


@pytest.mark.parametrize(
    ("path", "directory"),
    [
        ("gateway.duckdb", "gateway.data"),
        ("/var/lib/gw/x.db", "/var/lib/gw/x.data"),
        ("/var/lib/gateway", "/var/lib/gateway"),
    ],
)
def test_a_database_file_stands_for_a_directory_beside_it(write: Write, path: str, directory: str) -> None:
    assert file_defaults(write(f"database: {{path: {path}}}")) == {"GATEWAY_DB_PATH": directory}


@pytest.mark.parametrize("port", ["-1", "65536", "http", "80.5"])
def test_a_port_that_is_none_is_refused(write: Write, port: str) -> None:
    with pytest.raises(ConfigurationError, match=r"server\.port"):
        file_defaults(write(f"server: {{port: {port}}}"))


@pytest.mark.parametrize(("hours", "days"), [(1, "1"), (24, "1"), (25, "2"), (720, "30")])
def test_b12_retention_in_hours_becomes_whole_days(write: Write, hours: int, days: str) -> None:
    monitor = f"monitor: {{requestLog: true, prometheus: true, retentionHours: {hours}}}"
    assert file_defaults(write(monitor)) == {"GATEWAY_LOG_RETENTION_DAYS": days}


@pytest.mark.parametrize("hours", ["0", "-24", "a day", "876001"])
def test_b12_a_retention_that_is_none_is_refused(write: Write, hours: str) -> None:
    with pytest.raises(ConfigurationError, match=r"monitor\.retentionHours"):
        file_defaults(write(f"monitor: {{retentionHours: {hours}}}"))


@pytest.mark.parametrize(("said", "found"), [("false", {"GATEWAY_METRICS": "off"}), ("true", {}), ("null", {})])
def test_b29_a_file_can_switch_metrics_off(write: Write, said: str, found: dict[str, str]) -> None:
    assert file_defaults(write(f"monitor: {{prometheus: {said}}}")) == found


def test_b11_an_interval_of_health_checks_in_milliseconds(write: Write) -> None:
    assert file_defaults(write("health: {intervalMs: 30000}")) == {"GATEWAY_HEALTH_INTERVAL_S": "30"}
    assert file_defaults(write("health: {intervalMs: 2500}")) == {"GATEWAY_HEALTH_INTERVAL_S": "2.5"}
    for absurd in ("0", "-1", "999", "86400001", "soon"):
        with pytest.raises(ConfigurationError, match=r"health\.intervalMs"):
            file_defaults(write(f"health: {{intervalMs: {absurd}}}"))


def settings_of_serve(tmp_path: Path, *arguments: str, dotenv: str = "", **variables: str) -> str:
    """Return host, port and data directory as the settings of `manage.py serve` have them, without serving."""
    (tmp_path / ".env").write_text(dotenv)
    code = (
        "import sys, runpy, os\n"
        "from django.core import management\n"
        "def shown(argv):\n"
        "    from django.conf import settings\n"
        "    print(settings.HOST, settings.PORT, settings.DATA_DIR.name)\n"
        "management.execute_from_command_line = shown\n"
        "runpy.run_path('manage.py', run_name='__main__')\n"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "DATABASE_"))}
    fixed = {"GATEWAY_ENV_FILE": str(tmp_path / ".env"), "GATEWAY_DATA_DIR": "", "DATABASE_URL": "postgres:///none"}
    secrets = dict.fromkeys(("GATEWAY_SECRET_KEY", "GATEWAY_ENCRYPTION_KEYS", "GATEWAY_KEY_PEPPER"), "x" * 43)
    ran = subprocess.run(
        [sys.executable, "-c", code, "serve", *arguments],
        check=False,
        env={**kept, **fixed, **secrets, "DJANGO_SETTINGS_MODULE": "gateway_project.settings", **variables},
        cwd=FILES.parents[2],
        capture_output=True,
        text=True,
    )
    return (ran.stdout + ran.stderr).strip()


@pytest.mark.parametrize(
    "form", [("--config", str(FILES / "config_valid.yaml")), (f"--config={FILES / 'config_valid.yaml'}",)]
)
def test_a17_the_environment_wins_over_the_dotenv_file_over_the_file_over_the_defaults(
    tmp_path: Path, form: tuple[str, ...]
) -> None:
    assert settings_of_serve(tmp_path) == "127.0.0.1 8080 .data"
    assert settings_of_serve(tmp_path, *form) == "0.0.0.0 9090 gateway.data"
    dotenv = "GATEWAY_PORT=7001\n"
    assert settings_of_serve(tmp_path, *form, dotenv=dotenv) == "0.0.0.0 7001 gateway.data"
    assert settings_of_serve(tmp_path, *form, dotenv=dotenv, GATEWAY_PORT="7002") == "0.0.0.0 7002 gateway.data"
    set_ = {"GATEWAY_DATA_DIR": "/tmp/elsewhere", "GATEWAY_HOST": "::1"}
    assert settings_of_serve(tmp_path, *form, **set_) == "::1 9090 elsewhere"


def test_serve_says_what_is_wrong_with_its_file(tmp_path: Path) -> None:
    assert settings_of_serve(tmp_path, "--config", str(FILES / "config_invalid_port.yaml")) == (
        "manage.py serve: config_invalid_port.yaml: 1 problem found, so nothing was imported.\n"
        "  line 3: server.port: must lie between 0 and 65535"
    )


def test_it_works_before_there_are_settings() -> None:
    path = str(FILES / "config_valid.yaml")
    code = f"from gateway_project.configuration.defaults import file_defaults; print(file_defaults({path!r}))"
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "'GATEWAY_PORT': '9090'" in ran.stdout
