"""Upstreams that break HTTP: cut connections, framing tricks, statuses, redirects, headers (cases U11 to U18)."""

from __future__ import annotations

import json

from tests.upstreams.hostile_exchange import (
    JSON_TYPE,
    SSE_TYPE,
    Exchange,
    Headers,
    behaviour,
    chunk,
    event,
    head,
)

STATUSES = (100, 204, 400, 401, 403, 404, 405, 406, 413, 429, 431, 500, 502, 503, 504, 599, 600, 999)
FLOOD = 20_000  # informational heads of /status-100 before the answer
BODILESS = (204, 304)


@behaviour("U11", "close")
async def close(exchange: Exchange) -> None:
    """Take the request and close."""
    exchange.close()


@behaviour("U11", "reset")
async def reset(exchange: Exchange) -> None:
    """Take the request and reset the connection."""
    exchange.connection.reset()


@behaviour("U11", "close-mid-json")
async def close_mid_json(exchange: Exchange) -> None:
    """Close half-way through a promised body."""
    body = exchange.dumped()
    await exchange.send(head(200, [JSON_TYPE, ("Content-Length", str(len(body)))]) + body[: len(body) // 2])
    exchange.close()


@behaviour("U11", "close-mid-sse")
async def close_mid_sse(exchange: Exchange) -> None:
    """Close in the middle of an event, without the last chunk."""
    await exchange.begin()
    await exchange.part(event(exchange.answer())[:-20])
    exchange.close()


@behaviour("U11", "bad-chunk")
async def bad_chunk(exchange: Exchange) -> None:
    """A chunk whose size is no number."""
    await exchange.begin(JSON_TYPE)
    await exchange.send(b"ZZ\r\n" + exchange.dumped() + b"\r\n")
    exchange.close()


@behaviour("U11", "http09")
async def http09(exchange: Exchange) -> None:
    """A body without a head, as HTTP/0.9 did."""
    await exchange.send(exchange.dumped())
    exchange.close()


@behaviour("U12", "cl-te")
async def cl_te(exchange: Exchange) -> None:
    """Content-Length and chunked at once; by the length, a poisoned second response follows."""
    body = chunk(exchange.dumped()) + chunk(b"")
    fake = _poisoned(exchange)
    await exchange.send(head(200, [JSON_TYPE, ("Content-Length", str(len(body))), ("Transfer-Encoding", "chunked")]))
    await exchange.send(body + fake)


@behaviour("U12", "extra-bytes")
async def extra_bytes(exchange: Exchange) -> None:
    """A correct answer and, unasked, a second response on the kept connection."""
    body = exchange.dumped()
    await exchange.send(head(200, [JSON_TYPE, ("Content-Length", str(len(body)))]) + body + _poisoned(exchange))


def _poisoned(exchange: Exchange) -> bytes:
    body = exchange.dumped("poisoned")
    return head(200, [JSON_TYPE, ("Content-Length", str(len(body)))]) + body


@behaviour("U13-U15", *(f"status-{code}" for code in STATUSES))
async def status(exchange: Exchange) -> None:
    """The status of the path with a JSON-RPC error; 100 means a flood of them before a correct answer."""
    code = int(exchange.request.path.rpartition("-")[2])
    if code == 100:
        for _ in range(FLOOD // 100):
            await exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        await exchange.reply(exchange.dumped())
        return
    more: Headers = [JSON_TYPE]
    if code == 401:
        more.append(("WWW-Authenticate", 'Bearer realm="upstream", error="invalid_token"'))
    if code in (429, 503):
        more.append(("Retry-After", "99999"))
    if code in BODILESS:
        await exchange.send(head(code, more))
        return
    error = {"code": -32000, "message": f"status {code}"}
    await exchange.reply(exchange.dumped(result=..., error=error), code, more)


@behaviour("U13-U15", "401-meta")
async def metadata_challenge(exchange: Exchange) -> None:
    """A challenge that points its reader at the canary."""
    challenge = f'Bearer resource_metadata="{exchange.base}/canary", authorization_uri="{exchange.base}/canary"'
    await exchange.reply(b"{}", 401, [JSON_TYPE, ("WWW-Authenticate", challenge)])


@behaviour("U16", "redirect-canary", "redirect-301", "redirect-302", "redirect-303", "redirect-307", "redirect-308")
async def redirect(exchange: Exchange) -> None:
    """A redirect to the canary."""
    code = exchange.request.path.rpartition("-")[2]
    await _redirect(exchange, f"{exchange.base}/canary", int(code) if code.isdigit() else 307)


@behaviour("U16", "redirect-meta", "redirect-file", "redirect-loop", "redirect-crlf")
async def redirect_elsewhere(exchange: Exchange) -> None:
    """A redirect to cloud metadata, to a file, to itself, or one that splits the head."""
    targets = {
        "redirect-meta": "http://169.254.169.254/latest/meta-data/",
        "redirect-file": "file:///etc/passwd",
        "redirect-loop": f"{exchange.base}{exchange.request.path}",
        "redirect-crlf": f"{exchange.base}/canary\r\nSet-Cookie: injected=1",
    }
    await _redirect(exchange, targets[exchange.request.path.strip("/")], 307)


async def _redirect(exchange: Exchange, target: str, code: int) -> None:
    await exchange.reply(b"", code, [("Location", target)])


@behaviour("U17", "resp-cookies")
async def resp_cookies(exchange: Exchange) -> None:
    """A correct answer with headers that concern the browser, the gateway or nobody."""
    headers = [
        JSON_TYPE,
        ("Set-Cookie", "sid=hunter2; Path=/"),
        ("Set-Cookie", "csrftoken=x; Domain=localhost"),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Clear-Site-Data", '"*"'),
        ("Server", "Evil/1.0"),
        ("X-Powered-By", "PHP/5.2"),
        ("Strict-Transport-Security", "max-age=31536000"),
        ("Content-Security-Policy", "default-src *"),
        ("Alt-Svc", 'h3="evil.example:443"'),
        ("Link", "<http://evil.example/>; rel=preload"),
        ("Refresh", "0; url=http://evil.example/"),
        ("X-RateLimit-Remaining", "0"),
        ("X-Request-Id", "from-upstream"),
        ("WWW-Authenticate", 'Basic realm="evil"'),
        ("Connection", "keep-alive, X-Secret"),
        ("X-Secret", "hunter2"),
    ]
    await exchange.reply(exchange.dumped(), headers=headers)


@behaviour("U17", "big-session")
async def big_session(exchange: Exchange) -> None:
    """A correct answer with a session id of 8 KiB."""
    await exchange.reply(exchange.dumped(), headers=[JSON_TYPE, ("Mcp-Session-Id", "s" * 8192)])


@behaviour("U18", "many-headers")
async def many_headers(exchange: Exchange) -> None:
    """Five thousand headers."""
    padding = [(f"X-Many-{n}", "y" * 20) for n in range(5000)]
    await exchange.reply(exchange.dumped(), headers=[JSON_TYPE, *padding])


@behaviour("U18", "big-header")
async def big_header(exchange: Exchange) -> None:
    """One header of `mb` mebibytes (1)."""
    size = int(exchange.number("mb", 1) * 1024 * 1024)
    await exchange.reply(exchange.dumped(), headers=[JSON_TYPE, ("X-Big", "z" * size)])


@behaviour("U16", "sse-endpoint")
async def sse_endpoint(exchange: Exchange) -> None:
    """The 2024-11-05 handshake with an endpoint elsewhere: GET streams it, POST is refused."""
    if exchange.request.method != "GET":
        await exchange.reply(json.dumps({"detail": "Method Not Allowed"}).encode(), 405, [JSON_TYPE])
        return
    await exchange.begin(SSE_TYPE)
    await exchange.part(f"event: endpoint\ndata: {exchange.base}/canary\n\n".encode())
    await exchange.hang()
