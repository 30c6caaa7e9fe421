"""Secrets stay where they belong (P2): after good calls and bad ones, everything that was written is searched."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from tests.gateway import wait_for
from tests.proxy.plane import KEYS, MODERN, UPSTREAM_SECRET, Caller, message, tool_call

SENT_IN_VAIN = "mcpgw_" + "Zq7" * 14 + "ZAbCdEf"  # has the form of a key and is none
ARGUMENT_SECRET = "hunter2-of-the-leak-test"


def _provoke(caller: Caller) -> None:
    """Make calls of every kind: answered, refused at each stage, failed at the upstream."""
    secret_call = tool_call("echo", {"message": "x", "password": ARGUMENT_SECRET})
    for namespace in (
        "open",
        "listed",
        "echo",
        "kept",
        "h-ok",
        "h-status-401",
        "h-close",
        "h-err-leak",
        "h-invalid",
        "dead",
    ):
        caller.post(namespace, secret_call)
        caller.post(namespace, secret_call, {"Authorization": None, "X-API-Key": KEYS["alice"]}, key=None)  # type: ignore[dict-item]
    caller.modern("open", secret_call)
    session = caller.initialize("open")
    caller.post("open", secret_call, session.headers)
    caller.send("/mcp/open", headers=session.headers, method="DELETE")
    for token in (SENT_IN_VAIN, KEYS["revoked"], KEYS["expired"]):
        caller.post("echo", secret_call, {"Authorization": f"Bearer {token}"}, key=None)
        caller.post("echo", secret_call, {"X-API-Key": token}, key=None)
        caller.send(f"/mcp/echo?api_key={token}", b"{}", key=None)
        caller.send(f"/mcp/{token}", b"{}")
        caller.send(f"/analytics/usage?token={token}", key=None, method="GET")
        caller.send(f"/nowhere/{token}", key=None, method="GET")
    client = {"name": KEYS["alice"], "version": KEYS["alice"]}
    for odd in (
        tool_call(KEYS["alice"]),
        message(KEYS["alice"], {}),
        message("initialize", {"protocolVersion": MODERN, "clientInfo": client}),
    ):
        caller.post("echo", odd)
        caller.post("listed", odd)
    for name in ("X-Request-Id", "User-Agent", "traceparent", "Mcp-Session-Id", "MCP-Protocol-Version", "Referer"):
        caller.post("open", tool_call(), {name: KEYS["alice"]})
        caller.post("echo", tool_call(), {name: KEYS["alice"]})
        caller.send("/analytics/usage", headers={name: KEYS["alice"]}, method="GET")


@pytest.fixture(scope="module")
def provoked(caller: Caller) -> Caller:
    """Return the caller after everything was provoked, and once the request log has it all."""
    caller.forget("sdk", "hostile")
    _provoke(caller)
    mark = "leaks-are-through"
    caller.post("echo", tool_call(), {"X-Request-Id": mark})
    wait_for(lambda: caller.gateway.query("SELECT 1 FROM analytics_requestlog WHERE request_id = %s", mark), 15)
    return caller


def _whole_database(caller: Caller) -> dict[str, str]:
    """Return every table's rows as text."""
    with psycopg.connect(caller.gateway.sql_url) as connection:
        names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        tables = [str(name) for (name,) in connection.execute(names).fetchall()]
        return {
            name: "\n".join(str(row) for row in connection.execute(f'SELECT t::text FROM "{name}" t').fetchall())
            for name in tables
        }


SECRETS = {**KEYS, "in vain": SENT_IN_VAIN, "argument": ARGUMENT_SECRET, "upstream": UPSTREAM_SECRET}


def test_p2_no_table_holds_a_secret(provoked: Caller) -> None:
    tables = _whole_database(provoked)
    assert len(tables) > 20 and len(tables["keys_apikey"]) > 100
    hits = [(table, name) for table, text in tables.items() for name, secret in SECRETS.items() if secret in text]
    assert hits == []


def test_p2_no_log_line_holds_a_secret(provoked: Caller) -> None:
    output = provoked.gateway.output()
    assert len(output) > 10_000
    assert [name for name, secret in SECRETS.items() if secret in output] == []


def test_p2_no_file_of_the_gateway_holds_a_secret(provoked: Caller) -> None:
    hits = []
    for path in Path(provoked.gateway.data_dir).rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            hits += [(path.name, name) for name, secret in SECRETS.items() if secret.encode() in content]
    assert hits == []


def test_p2_no_upstream_sees_a_callers_key(provoked: Caller) -> None:
    for upstream in ("sdk", "hostile"):
        record = provoked.seen(upstream)["requests"]
        assert len(record) > 3
        for name, key in KEYS.items():
            hits = [seen for seen in record if key in json.dumps(seen["headers"])]
            assert not hits, (upstream, name, hits[:1])


def test_p2_the_upstreams_credential_replaces_the_callers(provoked: Caller) -> None:
    sent = {dict(seen["headers"]).get("authorization") for seen in provoked.seen("sdk")["requests"]}
    assert sent == {f"Bearer {UPSTREAM_SECRET}"}


def test_p2_no_answer_shows_the_upstreams_credential_or_the_callers(provoked: Caller) -> None:
    for namespace in ("open", "listed", "h-status-401", "h-close", "dead", "nothing"):
        answer = provoked.post(namespace, tool_call("echo"))
        shown = answer.body + json.dumps(answer.headers).encode()
        assert UPSTREAM_SECRET.encode() not in shown and KEYS["alice"].encode() not in shown


def test_p22_the_database_holds_digests_only(provoked: Caller) -> None:
    rows = provoked.gateway.query("SELECT length(digest), prefix FROM keys_keysecret")
    assert len(rows) == len(KEYS) and {length for length, _ in rows} == {32}
    assert all(len(str(prefix)) <= 12 for _, prefix in rows)
    (sealed,) = provoked.gateway.query("SELECT value FROM namespaces_upstreamcredential")
    assert str(sealed[0]).startswith("gAAAA")
