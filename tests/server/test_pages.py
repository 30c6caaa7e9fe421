"""Pages are made by a process of their own: what is handed over arrives as it came, and neither harms the other."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway_project import pages_relay
from gateway_project.pages_relay import PagesRelay
from gateway_project.server import pages
from tests.gateway import Gateway, wait_for
from tests.server.raw_client import RawClient


def last_line(gateway: Gateway, path: str) -> dict[str, Any]:
    """Return the newest line of the access log for a path."""
    return wait_for(
        lambda: next((line for line in reversed(gateway.log_records("gateway.access")) if line["path"] == path), None),
        5,
    )


def test_pages_stand_back_behind_calls(gateway: Gateway) -> None:
    assert gateway.get("/accounts/login/").status_code == 200
    pages_, worker = (os.getpriority(os.PRIO_PROCESS, gateway.pid_of(name) or 0) for name in ("pages", "worker 1"))
    assert pages_ == worker + 10


def test_a_sign_in_keeps_both_of_its_cookies(gateway: Gateway) -> None:
    client = gateway.admin()
    assert {"gateway_session", "gateway_csrf"} <= set(client.cookies)
    assert client.get("/admin/").status_code == 200


def test_a_worker_says_who_the_client_is_and_nobody_else(gateway: Gateway) -> None:
    forged = {"X-Forwarded-For": "203.0.113.66", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example.com"}
    answer = gateway.get("/accounts/login/?who", headers=forged)
    assert answer.status_code == 200 and "Secure" not in answer.headers["set-cookie"]
    assert last_line(gateway, "/accounts/login/")["client_ip"] == "127.0.0.1"


@pytest.mark.parametrize("target", ["/a//b", "/a%2Fb", "/x/../admin/login/", "/a;b=%20c", "/a%0d%0ab"])
async def test_the_target_arrives_as_it_came(gateway: Gateway, target: str) -> None:
    client = await RawClient.open(gateway.port)
    await client.send(f"GET {target}?q=%2e HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    reply = await client.answer()
    assert reply.status == 404, "a path that was tidied up on the way would be another page"


async def test_a_head_request_has_no_body_and_leaves_the_connection_usable(gateway: Gateway) -> None:
    client = await RawClient.open(gateway.port)
    await client.send(b"HEAD /accounts/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head
    await client.send(b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert (await client.answer()).body == b"OK"


def test_a_body_in_chunks_arrives(gateway: Gateway) -> None:
    client = httpx.Client(base_url=gateway.base)
    client.get("/accounts/login/")
    form = f"username=nobody&password=x&csrfmiddlewaretoken={client.cookies['gateway_csrf']}".encode()
    answer = client.post(
        "/accounts/login/",
        content=iter([form[:10], form[10:]]),
        headers={"Content-Type": "application/x-www-form-urlencoded", "Referer": f"{gateway.base}/accounts/login/"},
    )
    assert answer.status_code == 200 and "correct" in answer.text


def test_a_page_waits_for_the_next_process_and_calls_do_not(gateway: Gateway) -> None:
    gateway.get("/accounts/login/")
    old = gateway.pid_of("pages")
    assert old
    os.kill(old, signal.SIGKILL)
    begun = time.monotonic()
    assert gateway.get("/health").status_code == 200
    assert time.monotonic() - begun < 0.5
    assert gateway.get("/accounts/login/").status_code == 200
    assert gateway.pid_of("pages") not in (None, old)


def test_a_stopped_process_for_pages_stops_no_call(gateway: Gateway) -> None:
    pid = gateway.pid_of("pages")
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(gateway.base + "/accounts/login/", timeout=1)
        assert gateway.get("/health").status_code == 200
    finally:
        os.kill(pid, signal.SIGCONT)
    assert gateway.get("/accounts/login/").status_code == 200


def request(path: str = "/", accept: bytes = b"*/*") -> dict[str, Any]:
    """Return the scope of a GET request."""
    return {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"accept", accept)],
        "client": ("127.0.0.1", 1),
    }


class Asker:
    """The two ends of an ASGI request: nothing but its head arrives until the client leaves."""

    def __init__(self) -> None:
        self.leaves = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self._begun = False

    async def receive(self) -> dict[str, Any]:
        """Return the empty body, then wait for the client's leaving."""
        if not self._begun:
            self._begun = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """Keep what is sent."""
        self.sent.append(message)


async def test_the_connection_is_closed_when_the_client_leaves(tmp_path: Path) -> None:
    listener = pages.bind(str(tmp_path / "pages.sock"))
    loop = asyncio.get_running_loop()
    asker = Asker()
    relay = PagesRelay(str(tmp_path / "pages.sock"))
    asking = asyncio.ensure_future(relay(request(), asker.receive, asker.send))  # type: ignore[arg-type]
    connection, _ = await loop.sock_accept(listener)
    connection.setblocking(False)
    async with asyncio.timeout(5):
        head = await loop.sock_recv(connection, 65536)
        assert head.startswith(b"GET / HTTP/1.1\r\n") and b"X-Forwarded-For: 127.0.0.1".lower() in head.lower()
        asker.leaves.set()
        assert await loop.sock_recv(connection, 65536) == b""
        await asking
    assert asker.sent == []


@pytest.mark.parametrize("accept", [b"text/html,*/*", b"application/json"])
async def test_no_answer_is_a_503_that_says_to_come_back(
    tmp_path: Path, accept: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = pages.bind(str(tmp_path / "pages.sock"))
    relay = PagesRelay(str(tmp_path / "pages.sock"))
    listener.close()  # nobody listens any more: connecting is refused
    asker = Asker()
    await relay(request(accept=accept), asker.receive, asker.send)  # type: ignore[arg-type]
    begin, body = asker.sent
    assert begin["status"] == 503 and (b"retry-after", b"2") in begin["headers"]
    assert (b"<!doctype html>" in body["body"]) == (accept != b"application/json")
    monkeypatch.setattr(pages_relay, "MAX_OPEN", 0)
    crowd = Asker()
    await relay(request(), crowd.receive, crowd.send)  # type: ignore[arg-type]
    assert crowd.sent[0]["status"] == 503 and b"busy" in crowd.sent[1]["body"]
