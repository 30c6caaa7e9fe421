"""Wrong and absurd parameters (M11–M15): a 400 that names the parameter, at every endpoint that takes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from keys import secrets
from tests.analytics.rest.walk import CALL_ID, ENDPOINTS, PATHS
from tests.analytics.rows import log_row

pytestmark = pytest.mark.django_db

LONG = "x" * 5000
NUMBERS = [
    "",
    "NaN",
    "-1",
    "0",
    "1e9",
    "1.5",
    "+1",
    "0x1",
    "１",
    " 1",
    "Infinity",
    "99999999999999999999",
    LONG,
    "1;--",
]
# M12, M15. What is tried is as a client would write it in a URL; every value is refused whatever else is asked.
MOMENTS = ["", "now", "0000-00-00", "2026-13-45", "2026-13-45T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", LONG]
MOMENTS += ["2026-01-01T00:00:00 ../../etc/passwd", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "1e20", "1" * 14]
ABSURD: dict[str, list[str]] = {
    "period": ["", "NaN", "-1", "1e9", "99999999999999999999", "0d", "7w", "7d7d", "99999999d", "3661d", LONG, "7d\n"],
    "from": MOMENTS,
    "to": [moment for moment in MOMENTS if moment != "2026-01-01T00:00:00+00:00"],
    "since": MOMENTS,
    "until": MOMENTS,
    "bucket": ["", "1ns", "0s", "1s", "-1h", "NaN", "7m", "25h", "2d", "1h1h", LONG],
    "limit": [*NUMBERS, "501000000"],
    "key": NUMBERS,
    "min_calls": NUMBERS,
    "slower_than_ms": [number for number in NUMBERS if number != "0"],
    "window": [*NUMBERS, "999", "999999999999999"],
    "order": ["", "password", "__class__", "key__hash", "calls;drop table", "calls desc", LONG],
    "group_by": ["", "key__hash", "user_id", "password"],
    "metric": ["", "p100", "__class__"],
    "table": ["", "users", "pg_class"],
    "mine": ["", "yes", "True", "2", "{}"],
    "detail": ["", "yes"],
    "success": ["", "maybe", "null"],
    "via": ["", "ftp"],
    "kind": ["", "user"],
    "outcome": ["", "fine", '{"$ne":1}'],
    "format": ["", "xml", "../csv", "html"],
    "cursor": ["", "x", LONG, "MjAyNi0xMS0yMVQwMDowMDowMCswMDowMHwwMTkyZjBjMQ", "a:b", "\x00"],
}
TEXTS = ["", "\x00", "a\x00b", LONG]
NAMES = ("namespace", "user", "tool", "upstream", "server", "client", "reason", "request_id", "method")
ABSURD |= dict.fromkeys(NAMES, TEXTS)


def parameters(path: str) -> set[str]:
    """Return the names of the parameters that the endpoint says that it takes."""
    view = ENDPOINTS[path]
    if hasattr(view, "parameters"):
        return set(view.parameters().fields)
    from analytics.rest.call_parameters import CallParameters
    from analytics.rest.calls import OneCallParameters

    return set((OneCallParameters if path.endswith(CALL_ID) else CallParameters)().fields)


CASES = [(path, name, value) for path in PATHS for name in sorted(parameters(path)) for value in ABSURD[name]]


def refused(client: Client, path: str, query: str, field: str) -> None:
    answer = client.get(f"{path}?{query}")
    assert answer.status_code == 400, (path, query[:200], answer.status_code, answer.content[:300])
    assert answer["Content-Type"] == "application/json"
    error = answer.json()["error"]
    assert error["reason"] == "invalid_parameter"
    assert error["field"] == field and error["message"].startswith(f"{field}: ") and len(error["message"]) < 1000


def test_every_parameter_of_every_endpoint_is_tried() -> None:
    assert {name for path in PATHS for name in parameters(path)} == set(ABSURD)
    assert len(PATHS) >= 13 and len(CASES) > 900


@pytest.mark.parametrize("path", PATHS)
def test_absurd_values_are_400_and_name_the_parameter(staff: Client, path: str, settings: Any) -> None:
    settings.REST_RATE = "10000/m"
    for _, name, value in [case for case in CASES if case[0] == path]:
        refused(staff, path, f"{name}={quote(value)}", name)


@pytest.mark.parametrize("path", PATHS)
def test_unknown_names_are_400(staff: Client, path: str) -> None:
    for name in (
        "days",
        "days[]",
        "order_by",
        "sort",
        "filter",
        "offset",
        "page",
        "__class__",
        "period[]",
        "Period",
        "q" * 5000,
    ):
        refused(staff, path, f"{name}=1", name[:100])


@pytest.mark.parametrize("path", PATHS)
def test_a_repeated_parameter_is_400(staff: Client, path: str) -> None:
    for name in sorted(parameters(path) & {"period", "namespace", "limit", "format", "mine"}):
        refused(staff, path, f"{name}=1d&{name}=2d", name)
        refused(staff, path, f"{name}=1d&{name}=1d", name)


def test_a_key_that_stands_in_the_url_by_mistake_is_not_repeated(staff: Client) -> None:
    key = secrets.generate()
    for query in (f"{key}=1", f"period={key}", f"from={key}"):
        answer = staff.get(f"/analytics/usage?{query}")
        assert answer.status_code == 400 and key not in answer.content.decode()


@pytest.mark.parametrize("path", [path for path in PATHS if "from" in parameters(path)])
def test_a_period_that_makes_no_sense_is_400(staff: Client, path: str) -> None:
    now = datetime.now(UTC)
    early, late = f"{now - timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}", f"{now - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    future = f"{now + timedelta(days=3):%Y-%m-%dT%H:%M:%SZ}"
    refused(staff, path, f"from={late}&to={early}", "from")
    refused(staff, path, f"from={early}&to={early}", "from")
    refused(staff, path, f"from={future}", "from")
    refused(staff, path, f"to={future}", "to")
    refused(staff, path, f"period=1d&from={early}", "period")
    assert staff.get(f"{path}?from={early}&to={late}").status_code in (200, 404)
    assert staff.get(f"{path}?period=1d&to={late}").status_code in (200, 404)


def test_a_moment_is_taken_with_its_zone(staff: Client) -> None:
    log_row(datetime.now(UTC) - timedelta(hours=2))
    at = datetime.now(UTC) - timedelta(hours=3)
    zoned = at.astimezone().isoformat()
    for text in (f"{at:%Y-%m-%dT%H:%M:%SZ}", zoned, f"{int(at.timestamp() * 1000)}", f"{at:%Y-%m-%dt%H:%M:%S.5z}"):
        answer = staff.get("/analytics/usage", {"from": text})
        assert answer.status_code == 200 and len(answer.json()["results"]) == 1, text


@pytest.mark.parametrize("path", [path for path in PATHS if "bucket" in parameters(path)])
def test_too_many_points_are_400(staff: Client, path: str) -> None:
    refused(staff, path, "period=3650d&bucket=1m", "bucket")
    refused(staff, path, "period=2001m&bucket=1m", "bucket")
    answer = staff.get(f"{path}?period=1999m&bucket=1m")
    assert answer.status_code == 200 and len(answer.json()["data"]) == 2000
    assert staff.get(f"{path}?period=3650d").json()["bucket"] == "24h0m0s"


def test_the_limit_of_a_page_of_the_log(staff: Client, settings: Any) -> None:
    refused(staff, "/api/v1/requests", "limit=501", "limit")
    settings.CSV_MAX_ROWS = 700
    refused(staff, "/api/v1/requests", "limit=701&format=csv", "limit")
    assert staff.get("/api/v1/requests?limit=700&format=csv").status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("user=a&client=b", "client"),
        ("upstream=a&server=b", "server"),
        ("since=2026-11-01T00:00:00Z&from=2026-11-01T00:00:00Z", "since"),
        ("success=true&outcome=timeout", "success"),
        ("success=false&outcome=ok", "success"),
        ("kind=tool&method=tools/list", "kind"),
    ],
)
def test_parameters_of_the_log_that_contradict_each_other(staff: Client, query: str, field: str) -> None:
    refused(staff, "/api/v1/requests", query, field)


def test_window_and_period_are_one_thing(staff: Client) -> None:
    refused(staff, "/api/v1/metrics", "window=60000&period=1h", "window")


@pytest.mark.parametrize("path", PATHS)
def test_a_name_that_nobody_has_matches_nothing(staff: Client, path: str) -> None:
    log_row(id=CALL_ID)
    hostile = ["'; DROP TABLE analytics_requestlog; --", "%", "_", "<script>", "../..", "\\", "$1", "\u202e", "a\r\nb"]
    for name in sorted(parameters(path) & set(NAMES)):
        for value in hostile:
            answer = staff.get(path, {name: value})
            assert answer.status_code in (200, 404), (path, name, value, answer.content)
            assert b'"alice"' not in answer.content or path.startswith("/analytics/usage/"), (path, name, value)


def test_a_query_with_thousands_of_parameters_is_400(staff: Client) -> None:
    answer = staff.get("/analytics/usage?" + "&".join(f"a{number}=1" for number in range(2000)))
    assert answer.status_code == 400 and set(answer.json()) == {"error"}
