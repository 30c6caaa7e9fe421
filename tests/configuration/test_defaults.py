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


def test_it_works_before_there_are_settings() -> None:
    path = str(FILES / "config_valid.yaml")
    code = f"from gateway_project.configuration.defaults import file_defaults; print(file_defaults({path!r}))"
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "'GATEWAY_PORT': '9090'" in ran.stdout
