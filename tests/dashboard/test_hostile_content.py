"""What clients chose is shown as text and nothing else (P32): markup, template syntax, direction marks, line breaks."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from django.test import Client
from django.urls import reverse

from tests.analytics.rows import log_row

pytestmark = pytest.mark.django_db

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{777*777}}{% debug %}",
    "</script><script>alert(2)</script>",
    "line\r\nSet-Cookie: x=1",
    "\u202etxt.exe",
    "=cmd()|' /C calc'!A0",
    "a/b/../c?d=e&f#g%2F",
    "..",
    "~1~0~.x",
    "javascript:alert(3)",
    "ünïcode 名前 🙂",
    " leading and trailing ",
]


class Scripts(HTMLParser):
    """Collects what a browser would run or fetch, and the elements that there are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "script" and not (given.get("src") or given.get("type") == "application/json"):
            self.found.append("script")
        if tag in ("img", "iframe", "object", "embed", "base"):
            self.found.append(tag)
        self.found += [name for name in given if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action"):
            if (given.get(name) or "").lower().startswith(("javascript:", "data:")):
                self.found.append(f"{name}={given[name]}")
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture
def calls() -> list[uuid.UUID]:
    """A call for each hostile text, which stands in every field that a client chooses."""
    at = datetime.now(UTC) - timedelta(minutes=5)
    return [
        uuid.UUID(
            str(
                log_row(
                    at - timedelta(seconds=place),
                    namespace=text,
                    tool=text,
                    user_id=text,
                    upstream=text,
                    key_id=5,
                    client_name=text,
                    outcome="tool_error" if place % 2 else "ok",
                    reason=text,
                    session=text,
                    trace_id=text,
                    protocol_version=text,
                    client_address=text,
                    request_id=f"id{place}",
                ).id
            )
        )
        for place, text in enumerate(HOSTILE)
    ]


def pages(calls: list[uuid.UUID]) -> Iterator[str]:
    for name in ("overview", "namespaces", "users", "tools", "upstreams", "requests"):
        yield reverse(f"dashboard:{name}")
    yield reverse("dashboard:key", args=[5])
    for text, call in zip(HOSTILE, calls, strict=True):
        yield reverse("dashboard:namespace", args=[text])
        yield reverse("dashboard:user", args=[text])
        yield reverse("dashboard:upstream", args=[text])
        yield reverse("dashboard:tool", args=[text, text])
        yield reverse("dashboard:request", args=[call])


def test_every_page_is_inert(boss: Client, calls: list[uuid.UUID]) -> None:
    for path in pages(calls):
        answer = boss.get(path)
        assert answer.status_code == 200, path
        parsed = Scripts(answer.content.decode())
        assert parsed.found == [], path
        words = "".join(parsed.words)
        assert "603729" not in words, f"{path} has worked out a template"
        assert "\u202e" not in words and "\r" not in words, path


def test_every_text_is_shown_as_it_is(boss: Client, calls: list[uuid.UUID]) -> None:
    shown = {
        "line\r\nSet-Cookie: x=1": "line␍␊Set-Cookie: x=1",
        "\u202etxt.exe": "⟨U+202E⟩txt.exe",
    }
    for path in (reverse("dashboard:users"), reverse("dashboard:tools"), reverse("dashboard:requests")):
        words = Scripts(boss.get(path).content.decode()).words
        for text in HOSTILE:
            assert shown.get(text, text) in words, f"{text!r} is missing on {path}"


def test_every_link_of_a_list_leads_to_the_very_thing(boss: Client, calls: list[uuid.UUID]) -> None:
    for kind in ("namespaces", "users", "upstreams", "tools"):
        links = Scripts(boss.get(f"/dashboard/{kind}/").content.decode()).links
        own = [link for link in links if re.match(f"/dashboard/{kind}/[^?]", link)]
        assert len(set(own)) == len(HOSTILE), own
        titles = set()
        for link in set(own):
            assert "/../" not in unquote(link.partition("?")[0]) and not link.startswith("//")
            answer = boss.get(link)
            assert answer.status_code == 200, link
            title = re.search(r"<h1>.*?<bdi>(.*?)</bdi>", answer.content.decode(), re.DOTALL)
            assert title is not None
            titles.add(title[1])
        assert len(titles) == len(HOSTILE)


def test_a_name_written_plainly_in_the_address_is_understood(boss: Client, calls: list[uuid.UUID]) -> None:
    assert boss.get("/dashboard/users/a%2Fb%2F..%2Fc%3Fd=e&f%23g%252F/").status_code == 200


def test_the_names_of_charts_cannot_leave_their_element(boss: Client, calls: list[uuid.UUID]) -> None:
    body = boss.get(reverse("dashboard:user", args=["</script><script>alert(2)</script>"])).content.decode()
    assert body.count("<script") == body.count("</script>") == len(re.findall(r"<script (?:src|id)=", body))


def test_hostile_parameters_come_back_as_text(boss: Client) -> None:
    for text in HOSTILE:
        for path in ("/dashboard/", "/dashboard/requests/", "/dashboard/tools/"):
            answer = boss.get(path, {"namespace": text, "user": text, "period": "7d"})
            assert Scripts(answer.content.decode()).found == []
        answer = boss.get("/dashboard/", {"period": text})
        assert answer.status_code == 400 and Scripts(answer.content.decode()).found == []
