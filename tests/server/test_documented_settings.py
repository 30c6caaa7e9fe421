"""`.env.example` lists every setting, each with a sentence, and nothing that is not one."""

from __future__ import annotations

import re

from tests.gateway import ROOT

# What the processes of one gateway tell each other; nobody sets these.
INTERNAL = {
    "GATEWAY_PROCESS",
    "GATEWAY_WORKER_INDEX",
    "GATEWAY_WORKER_COUNT",
    "GATEWAY_RATELIMIT_FILE",
    "GATEWAY_LISTEN_PORT",
    "GATEWAY_PAGES_SOCKET",
    "GATEWAY_HEARTBEAT_FD",
    "GATEWAY_GATE_FD",
    "GATEWAY_LOOP_PROBE",
}
NAME = r"(?:GATEWAY|DATABASE|REDIS|POSTGRES)_[A-Z_]*[A-Z]"
PACKAGES = ("gateway_project", "namespaces", "keys", "analytics", "proxy")


def names_in_sources() -> set[str]:
    """Return every variable that the sources name as a whole string, and those that compose.yaml expands."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    found = {name for path in files for name in re.findall(rf"""["']({NAME})["']""", path.read_text())}
    found |= set(re.findall(rf"\$\{{({NAME})", (ROOT / "compose.yaml").read_text()))
    return found - INTERNAL


def documented() -> dict[str, list[str]]:
    """Return the names in .env.example with the comment lines above each."""
    found: dict[str, list[str]] = {}
    comment: list[str] = []
    for line in (ROOT / ".env.example").read_text().splitlines():
        if match := re.match(r"#?([A-Z_]+)=", line):
            assert match[1] not in found, f"{match[1]} stands there twice"
            found[match[1]] = comment
            comment = []
        elif line.startswith("# ") and not line.startswith("# ---"):
            comment.append(line)
        else:
            comment = []
    return found


def test_every_setting_is_listed_and_every_listed_one_exists() -> None:
    assert set(documented()) == names_in_sources()


def test_every_setting_has_a_sentence() -> None:
    assert [name for name, comment in documented().items() if not comment] == []


def test_copied_as_it_is_it_changes_nothing() -> None:
    active = [line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    assert active == []
