"""The page of upstreams' health: what it shows, to whom, and how it is drawn."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys.models import ApiKey, Membership, Team, TeamNamespace
from namespaces.models import HealthSpan, Mount, Namespace, Upstream, UpstreamStatus

pytestmark = pytest.mark.django_db
SignIn = Callable[[User], Client]
PATH = "/dashboard/health/"
INSIDE = "Connection refused by db-7.inside.example:9999."


@pytest.fixture
def servers() -> dict[str, Upstream]:
    """`red-server` was offline for two of the last twelve hours, `blue-server` is offline, `new-server` is new."""
    made = {}
    now = timezone.now()
    for colour in ("red", "blue", "new"):
        upstream = made[colour] = Upstream.objects.create(slug=f"{colour}-server", url="http://127.0.0.1:9/mcp")
        Mount.objects.create(namespace=Namespace.objects.create(slug=colour), upstream=upstream)

    def span(colour: str, state: str, begin_h: float, end_h: float, **fields: Any) -> None:
        began, ended = (now - timedelta(hours=hours) for hours in (begin_h, end_h))
        HealthSpan.objects.create(upstream=made[colour], health=state, began_at=began, ended_at=ended, **fields)

    span("red", "online", 12, 5)
    span("red", "offline", 5, 3, reason="refused", message=INSIDE, checks=240)
    span("red", "online", 3, 0)
    span("blue", "online", 100, 1)
    span("blue", "offline", 1, 0, reason="first_byte_timeout", message=INSIDE)
    for colour, state in (("red", "online"), ("blue", "offline")):
        UpstreamStatus.objects.create(
            upstream=made[colour],
            checked_at=now,
            ok=state == "online",
            health=state,
            latency_ms=4.5 if state == "online" else None,
            since=now - timedelta(hours=3),
        )
    return made


def text_of(client: Client, path: str = PATH) -> str:
    """Return the page as text: tags away, blanks as one."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.content
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())).replace("\u00a0", " ")


def test_it_shows_states_uptimes_and_failures(boss: Client, servers: dict[str, Upstream]) -> None:
    text = text_of(boss)
    assert text.count("83.3 %") >= 3, "2 of the 12 known hours, in each period"
    assert "95.8 %" in text and "98.9 %" in text, "1 hour of 24, and of the 100 that are known"
    assert "offline" in text and "unknown" in text
    assert "refused" in text and "first_byte_timeout" in text and INSIDE in text
    page = boss.get(PATH).content.decode()
    strips = re.findall(r'aria-label="([^"]*server, last 24h[^"]*)"', page)
    assert len(strips) == 3
    told = {strip.partition(",")[0]: strip.replace("\u00a0", " ") for strip in strips}
    assert told["red-server"].startswith(
        "red-server, last 24h: up 83.3 % of the known time, offline 2 h 0 min, unknown"
    )
    assert told["new-server"] == "new-server, last 24h: nothing known"


@pytest.mark.parametrize("window", ["24h", "7d", "30d"])
def test_the_strips_show_the_chosen_time(boss: Client, servers: dict[str, Upstream], window: str) -> None:
    page = boss.get(f"{PATH}?window={window}").content.decode()
    assert len(re.findall(rf'aria-label="[a-z]+-server, last {window}', page)) == 3
    assert re.search(rf'href="[^"]*window={window}" aria-current="true"', page)
    assert boss.get(f"{PATH}?window=1y").status_code == 400


def test_a_strip_is_made_of_attributes_alone(boss: Client, servers: dict[str, Upstream]) -> None:
    page = boss.get(PATH).content.decode()
    assert "style=" not in page and "<script>" not in page
    red = page[page.index("red-server, last 24h") :]
    heights = re.findall(r'<rect class="health-(\w+)"[^>]*height="(\d+)"', red[: red.index("</svg>")])
    assert heights == [("muted", "2"), ("ok", "10"), ("error", "20"), ("ok", "10")]


def test_everybody_sees_the_upstreams_of_their_own_namespaces(sign_in: SignIn, servers: dict[str, Upstream]) -> None:
    team = Team.objects.create(slug="reds")
    TeamNamespace.objects.create(team=team, namespace=Namespace.objects.get(slug="red"))
    people = {name: User.objects.create_user(name) for name in ("member", "auditor", "owner", "stranger")}
    for name in ("member", "auditor"):
        Membership.objects.create(team=team, account=people[name], role=name)
    key = ApiKey.objects.create(user_id="owner", owner=people["owner"])
    key.grants.create(namespace=Namespace.objects.get(slug="blue"))
    for name, seen in {"member": "red", "auditor": "red", "owner": "blue", "stranger": ""}.items():
        text = text_of(sign_in(people[name]))
        for colour in ("red", "blue", "new"):
            assert (f"{colour}-server" in text) == (colour == seen), (name, colour)
        # Where upstreams are is for those who see everything.
        assert INSIDE not in text and "inside.example" not in text
    assert "No namespace that you may use" in text_of(sign_in(people["stranger"]))
    assert Client().get(PATH).status_code == 302


def test_hostile_words_stay_words(boss: Client, servers: dict[str, Upstream]) -> None:
    HealthSpan.objects.filter(health="offline").update(message="<script>alert(1)</script>{{7*7}}\u202e", reason="<b>x")
    page = boss.get(PATH).content.decode()
    assert "<script>alert" not in page and "<b>x" not in page and "{{7*7}}" in page and "\u202e" not in page


def test_many_upstreams_take_no_more_statements(boss: Client, servers: dict[str, Upstream]) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert boss.get(PATH).status_code == 200
        return len(captured)

    few = statements()
    now = timezone.now()
    for number in range(60):
        upstream = Upstream.objects.create(slug=f"further-{number}", url="http://127.0.0.1:9/mcp")
        HealthSpan.objects.create(upstream=upstream, health="offline", began_at=now, ended_at=now)
    assert statements() <= few
