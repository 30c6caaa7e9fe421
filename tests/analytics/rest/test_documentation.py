"""docs/analytics.md: its curl lines work as they stand, and it leaves no endpoint and no parameter out."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.analytics.rest.test_parameters import ABSURD
from tests.analytics.rest.walk import PATHS
from tests.gateway import ROOT, Gateway

TEXT = (ROOT / "docs" / "analytics.md").read_text()
CURLS = re.findall(r"^curl .*$", TEXT, re.MULTILINE)


def test_there_are_curl_lines() -> None:
    assert len(CURLS) >= 5


@pytest.mark.parametrize("line", CURLS)
def test_a_curl_line_works_as_it_stands(gateway: Gateway, line: str, tmp_path: Path) -> None:
    key = gateway.create_key("--user", "alice")
    done = subprocess.run(
        ["bash", "-c", line.replace("curl ", "curl --fail --silent --show-error ", 1)],
        env=os.environ | {"GATEWAY": gateway.base, "KEY": key},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if "-OJ" in line:
        (file,) = tmp_path.iterdir()
        assert re.fullmatch(r"requests-\d{8}T\d{6}Z\.csv", file.name) and file.read_text().startswith("id,timestamp,")
    else:
        assert done.stdout.startswith("{")


def test_every_endpoint_and_parameter_is_described() -> None:
    for path in PATHS:
        last = path.removeprefix("/analytics/").split("/")[0] if path.startswith("/analytics/") else path
        assert last.split("/0192")[0] in TEXT, path
    missing = {name for name in ABSURD if not re.search(rf"`{name}[`=]", TEXT)}
    assert not missing
