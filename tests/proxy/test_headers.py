"""Protocol and proxy headers (cases H1 to H12): the body decides, mirrored headers must agree, nothing else passes."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.gateway import wait_for
from tests.proxy.plane import LEGACY, META, MODERN, Caller, expect_refused, message, tool_call

MISMATCH = -32020


def _encoded(text: str) -> str:
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


@pytest.mark.parametrize("namespace", ["open", "listed"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Mcp-Name": "add"},
        {"Mcp-Name": None},
        {"Mcp-Name": "Echo"},
        {"Mcp-Name": "echo echo"},
        {"Mcp-Name": "=?base64?!!!?="},
        {"Mcp-Name": "=?base64?ZWNo?="},
        {"Mcp-Name": "=?base64?ZWNobw?="},
        {"Mcp-Name": "=?base64?/w==?="},
        {"Mcp-Name": "echo", "mcp-name": "echo"},
        {"Mcp-Name": "echo", "mcp-name": "add"},
        {"Mcp-Method": "tools/list"},
        {"Mcp-Method": "Tools/Call"},
        {"Mcp-Method": None},
        {"Mcp-Method": "tools/call", "mcp-method": "tools/list"},
        {"MCP-Protocol-Version": "2025-11-25"},
        {"MCP-Protocol-Version": None},
        {"MCP-Protocol-Version": "2026-07-29"},
    ],
)
def test_h1_a_header_that_differs_from_the_body(caller: Caller, namespace: str, headers: dict[str, Any]) -> None:
    caller.forget("sdk")
    answer = caller.modern(namespace, tool_call(), headers)
    expect_refused(answer, [400], [MISMATCH])
    assert caller.names_called("sdk") == []


@pytest.mark.parametrize("name", ["echo", " echo ", "\techo", _encoded("echo")])
def test_h1_spellings_that_mean_the_same_name(caller: Caller, name: str) -> None:
    assert caller.modern("listed", tool_call(), {"Mcp-Name": name}).status == 200


def test_h1_older_versions_ignore_the_mirrored_headers(caller: Caller) -> None:
    headers = caller.initialize("listed").headers | {"Mcp-Name": "add", "Mcp-Method": "tools/list"}
    assert caller.post("listed", tool_call(), headers).text == "hello"


@pytest.mark.parametrize("headers", [{"Mcp-Name": "echo"}, {"Mcp-Name": _encoded("echo"), "Mcp-Method": "tools/call"}])
def test_h2_an_allowed_header_over_a_denied_body(caller: Caller, headers: dict[str, str]) -> None:
    caller.forget("sdk")
    call = tool_call("add", {"a": 1, "b": 2})
    session = caller.initialize("listed").headers
    for answer in (caller.modern("listed", call, headers), caller.post("listed", call, session | headers)):
        assert answer.code in (MISMATCH, -32602)
    assert caller.names_called("sdk") == []


@pytest.mark.parametrize(
    ("version", "codes"),
    [
        ("2099-01-01", {-32022}),
        ("x" * 10_240, {-32022, MISMATCH}),
        ("", {-32022, -32602, MISMATCH}),
        ("2026-07-28 ", {None}),
    ],
)
def test_h3_versions(caller: Caller, version: str, codes: set[int | None]) -> None:
    content = message("tools/list", {"_meta": {f"{META}protocolVersion": version.strip()}})
    answer = caller.modern("open", content, {"MCP-Protocol-Version": version})
    assert answer.code in codes and answer.status == (200 if answer.code is None else 400)


@pytest.mark.parametrize("drop", ["protocolVersion", "clientCapabilities"])
def test_h3_required_meta_is_missing(caller: Caller, drop: str) -> None:
    meta = {
        f"{META}{name}": value
        for name, value in {"protocolVersion": MODERN, "clientCapabilities": {}}.items()
        if name != drop
    }
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list"}
    answer = caller.post("open", message("tools/list", {"_meta": meta}), headers)
    expect_refused(answer, [400], [-32602])
    assert answer.json["id"] == 1


@pytest.mark.parametrize("session", ["made-up", "x" * 20_000, "../../etc", "A" * 120, "", "é", "a b", "null", "0"])
def test_h4_a_session_id_that_is_none(caller: Caller, session: str) -> None:
    before = caller.count("kept")["calls"]
    headers = {"MCP-Protocol-Version": LEGACY, "Mcp-Session-Id": session}
    answer = caller.post("kept", tool_call(), headers)
    expect_refused(answer, [400, 404], [-32600])
    assert caller.count("kept")["calls"] == before


def test_h4_the_upstreams_own_id_is_none_for_a_client(caller: Caller) -> None:
    caller.forget("sdk")
    caller.initialize("open")
    own = next(
        value for seen in caller.seen("sdk")["requests"] for name, value in seen["headers"] if name == "mcp-session-id"
    )
    answer = caller.post("open", tool_call(), {"MCP-Protocol-Version": LEGACY, "Mcp-Session-Id": own})
    expect_refused(answer, [404], [-32600])


def test_h4_another_keys_session_and_another_namespaces(caller: Caller) -> None:
    session = caller.initialize("kept")
    assert caller.post("kept", tool_call(), session.headers).status == 200
    for namespace, key in (("kept", "carol"), ("open", "alice"), ("echo", "alice")):
        answer = caller.post(namespace, tool_call(), session.headers, key=key)
        expect_refused(answer, [404], [-32600])
        assert answer.reason == "session_unknown"
    assert caller.send("/mcp/kept", headers=session.headers, method="DELETE", key="carol").status == 404
    assert caller.post("kept", tool_call(), session.headers).status == 200


def test_h4_the_modern_era_ignores_a_session_id(caller: Caller) -> None:
    caller.forget("sdk")
    assert caller.modern("open", tool_call(), {"Mcp-Session-Id": "made-up"}).status == 200
    names = [name for seen in caller.seen("sdk")["requests"] for name, _ in seen["headers"]]
    assert "mcp-session-id" not in names


@pytest.mark.parametrize("event", ["1", "0.AAAAAAAAAAAA", "../x", "a" * 9000, "-1"])
def test_h5_a_last_event_id_that_is_none(caller: Caller, event: str) -> None:
    session = caller.initialize("open")
    headers = session.headers | {"Last-Event-ID": event, "Accept": "text/event-stream"}
    answer = caller.send("/mcp/open", headers=headers, method="GET")
    expect_refused(answer, [400], [-32600])
    assert answer.reason == "event_id_unknown"


@pytest.mark.parametrize("accept", ["text/html", "image/png, text/plain", "application/xml", ""])
def test_h7_an_accept_that_takes_nothing_we_have(caller: Caller, accept: str) -> None:
    answer = caller.post("echo", tool_call(), {"Accept": accept})
    assert answer.status == 406 or answer.header("content-type") == "application/json"


def test_h7_without_an_accept_header_the_answer_is_json(caller: Caller) -> None:
    for namespace in ("echo", "open", "kept"):
        answer = caller.post(namespace, tool_call(), {"Accept": None})  # type: ignore[dict-item]
        assert answer.status == 200 and answer.header("content-type") == "application/json"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "8.8.8.8"},
        {"X-Forwarded-For": "8.8.8.8, 9.9.9.9", "X-Forwarded-Proto": "https"},
        {"X-Real-IP": "8.8.8.8"},
        {"Forwarded": "for=8.8.8.8"},
        {"X-Forwarded-For": "' junk; DROP"},
        {"X-Forwarded-For": "\t,,,"},
    ],
)
def test_h8_the_clients_address_is_the_peers_unless_a_proxy_is_trusted(caller: Caller, headers: dict[str, str]) -> None:
    mark = f"h8-{abs(hash(str(headers)))}"
    caller.forget("sdk")
    assert caller.post("open", tool_call(), headers | {"X-Request-Id": mark}).status == 200
    rows = "SELECT client_address FROM analytics_requestlog WHERE request_id = %s"
    wait_for(lambda: caller.gateway.query(rows, mark), 10)
    assert caller.gateway.query(rows, mark) == [("127.0.0.1",)]
    sent = {name for seen in caller.seen("sdk")["requests"] for name, _ in seen["headers"]}
    assert not {name.lower() for name in headers} & sent


@pytest.mark.parametrize("identifier", ["x" * 5000, 'a"b', "a b", "a\tb", "<script>", "%0d%0a", "é", "a;b", ""])
def test_h9_a_request_id_that_is_unfit_is_replaced(caller: Caller, identifier: str) -> None:
    answer = caller.post("echo", tool_call(), {"X-Request-Id": identifier})
    given = answer.header("x-request-id") or ""
    assert len(given) == 32 and int(given, 16) >= 0


def test_h9_a_request_id_that_is_fit_is_kept(caller: Caller) -> None:
    assert caller.post("echo", tool_call(), {"X-Request-Id": "My-Id_1.2"}).header("x-request-id") == "My-Id_1.2"


@pytest.mark.parametrize(
    "headers",
    [
        {"Connection": "close, Authorization"},
        {"Connection": "close, X-API-Key, Mcp-Name"},
        {"TE": "trailers"},
        {"Trailer": "Authorization"},
        {"Proxy-Authorization": "Basic YTpi"},
        {"Proxy-Connection": "keep-alive"},
        {"Keep-Alive": "timeout=1000"},
        {"Upgrade": "h2c"},
        {"Cookie": "session=1"},
    ],
)
def test_h10_hop_by_hop_headers_go_no_further(caller: Caller, headers: dict[str, str]) -> None:
    caller.forget("sdk")
    assert caller.modern("open", tool_call(), headers).status == 200
    seen = [request for request in caller.seen("sdk")["requests"] if request["rpc_method"] == "tools/call"]
    sent = dict(seen[-1]["headers"])
    for name, value in headers.items():
        assert sent.get(name.lower()) != value


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Upstream-Url": "http://127.0.0.1:1/"},
        {"X-Original-URL": "/mcp/open", "X-Rewrite-URL": "/admin/"},
        {"X-HTTP-Method-Override": "DELETE"},
        {"X-Method-Override": "GET"},
        {"Daphne-Root-Path": "/mcp/open"},
        {"X-Script-Name": "/mcp/open", "X-Forwarded-Prefix": "/x", "X-Forwarded-Host": "evil.example"},
        {"Forwarded": "host=evil.example"},
    ],
)
def test_h11_headers_that_would_redirect_the_request_do_nothing(caller: Caller, headers: dict[str, str]) -> None:
    answer = caller.post("echo", tool_call(), headers)
    assert answer.status == 200 and answer.text == '{"message": "hello"}'


@pytest.mark.parametrize(
    "trace",
    [
        "junk",
        "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "g" * 32 + "-" + "1" * 16 + "-01",
        "ff-" + "1" * 32,
        "x" * 8000,
    ],
)
def test_h12_junk_in_trace_headers_is_made_anew(caller: Caller, trace: str) -> None:
    caller.forget("sdk")
    assert caller.modern("open", tool_call(), {"traceparent": trace, "baggage": "b" * 8192}).status == 200
    sent = dict(caller.seen("sdk")["requests"][-1]["headers"])
    assert "baggage" not in sent and sent["traceparent"] != trace
    version, identifier, span, flags = sent["traceparent"].split("-")
    assert (version, len(identifier), len(span), flags) == ("00", 32, 16, "00") and int(identifier, 16)


def test_h12_a_good_trace_goes_on_with_a_span_of_ours(caller: Caller) -> None:
    caller.forget("sdk")
    given = f"00-{'4b' * 16}-{'a1' * 8}-01"
    assert caller.modern("open", tool_call(), {"traceparent": given}).status == 200
    sent = dict(caller.seen("sdk")["requests"][-1]["headers"])["traceparent"]
    assert sent.startswith(f"00-{'4b' * 16}-") and sent.endswith("-01") and "a1" * 8 not in sent


def test_what_goes_upstream_is_our_own_list(caller: Caller) -> None:
    caller.forget("sdk")
    extra = {
        "X-Anything": "1",
        "Accept-Language": "pl",
        "Accept-Encoding": "gzip",
        "User-Agent": "curl/8",
        "Referer": "http://x/",
    }
    assert caller.modern("open", tool_call(), extra).status == 200
    sent = dict(caller.seen("sdk")["requests"][-1]["headers"])
    assert sent.keys() <= {
        *("host", "authorization", "accept-encoding", "user-agent", "content-type", "content-length", "accept"),
        *("mcp-protocol-version", "mcp-method", "mcp-name", "x-request-id", "traceparent"),
    }
    assert sent["accept-encoding"] == "identity" and sent["user-agent"] == "mcp-gateway"


@pytest.mark.parametrize("value", ["a\x85b", "\xff"])
def test_odd_bytes_in_a_parameter_header(caller: Caller, value: str) -> None:
    expect_refused(caller.modern("open", tool_call(), {"Mcp-Param-Region": value}), [400], [MISMATCH])


def test_too_many_parameter_headers(caller: Caller) -> None:
    headers = {f"Mcp-Param-{number}": "x" for number in range(33)}
    expect_refused(caller.modern("open", tool_call(), headers), [400], [MISMATCH])
