"""Upstreams whose body is no answer to the request: broken JSON, wrong envelopes, wrong types (cases U4 to U6)."""

from __future__ import annotations

from tests.upstreams.hostile_exchange import JSON_TYPE, SSE_TYPE, Exchange, behaviour, event

DEPTH = 100_000  # nested arrays of /deep
DIGITS = 6_000  # digits of the number of /bigint


def _with_value(exchange: Exchange, value: bytes) -> bytes:
    """The correct answer with a raw value put in place of its structuredContent."""
    result = {"content": [], "structuredContent": {"value": "@@"}, "resultType": "complete"}
    return exchange.dumped(result=result).replace(b'"@@"', value)


@behaviour("U4", "invalid")
async def invalid(exchange: Exchange) -> None:
    """Not JSON at all."""
    await exchange.reply(b'{"jsonrpc": "2.0", "id": 1, "result": {content: hunter2}}')


@behaviour("U4", "truncated")
async def truncated(exchange: Exchange) -> None:
    """JSON cut short, with a Content-Length that agrees."""
    await exchange.reply(exchange.dumped()[:-10])


@behaviour("U4", "empty")
async def empty(exchange: Exchange) -> None:
    """200 and nothing."""
    await exchange.reply(b"")


@behaviour("U4", "utf16")
async def utf16(exchange: Exchange) -> None:
    """The correct answer in UTF-16."""
    await exchange.reply(exchange.dumped().decode().encode("utf-16"))


@behaviour("U4", "bad-utf8")
async def bad_utf8(exchange: Exchange) -> None:
    """A byte that no UTF-8 text holds."""
    await exchange.reply(exchange.dumped("@@").replace(b"@@", b"caf\xe9\xff"))


@behaviour("U4", "bigint")
async def bigint(exchange: Exchange) -> None:
    """A number of thousands of digits."""
    await exchange.reply(_with_value(exchange, b"9" * DIGITS))


@behaviour("U4", "deep")
async def deep(exchange: Exchange) -> None:
    """Arrays nested beyond any parser's stack."""
    await exchange.reply(_with_value(exchange, b"[" * DEPTH + b"]" * DEPTH))


@behaviour("U4", "nan")
async def nan(exchange: Exchange) -> None:
    """NaN and Infinity, which JSON does not know."""
    await exchange.reply(_with_value(exchange, b"[NaN, Infinity]"))


@behaviour("U4", "dup-keys")
async def dup_keys(exchange: Exchange) -> None:
    """Two results: which one counts depends on the parser."""
    twice = exchange.dumped("first")[:-1] + b', "result": {"content": [{"type": "text", "text": "second"}]}}'
    await exchange.reply(twice)


@behaviour("U5", "wrong-id")
async def wrong_id(exchange: Exchange) -> None:
    """The answer to another request."""
    await exchange.reply(exchange.dumped("poisoned", id=987_654_321))


@behaviour("U5", "null-id")
async def null_id(exchange: Exchange) -> None:
    """An answer to nobody."""
    await exchange.reply(exchange.dumped("poisoned", id=None))


@behaviour("U5", "no-id")
async def no_id(exchange: Exchange) -> None:
    """An answer without an id."""
    await exchange.reply(exchange.dumped("poisoned", id=...))


@behaviour("U5", "str-id")
async def str_id(exchange: Exchange) -> None:
    """The right id in the other JSON type: 7 becomes "7", and "7" becomes 7 or a list."""
    own = exchange.id
    other = str(own) if not isinstance(own, str) else int(own) if own.isdigit() else [own]
    await exchange.reply(exchange.dumped("poisoned", id=other))


@behaviour("U5", "batch")
async def batch(exchange: Exchange) -> None:
    """The answer in an array."""
    await exchange.reply(b"[" + exchange.dumped() + b"]")


@behaviour("U5", "both")
async def both(exchange: Exchange) -> None:
    """A result and an error at once."""
    await exchange.reply(exchange.dumped(error={"code": -32000, "message": "or not"}))


@behaviour("U5", "neither")
async def neither(exchange: Exchange) -> None:
    """Neither a result nor an error."""
    await exchange.reply(exchange.dumped(result=...))


@behaviour("U5", "scalar")
async def scalar(exchange: Exchange) -> None:
    """JSON, but a number."""
    await exchange.reply(b"42")


@behaviour("U6", "html")
async def html(exchange: Exchange) -> None:
    """A web page with status 200."""
    page = b"<!doctype html><title>Sign in</title><script>alert('hunter2')</script>"
    await exchange.reply(page, headers=[("Content-Type", "text/html; charset=utf-8")])


@behaviour("U6", "no-ct")
async def no_content_type(exchange: Exchange) -> None:
    """The correct answer without a Content-Type."""
    await exchange.reply(exchange.dumped(), headers=[])


@behaviour("U6", "ct-sse-body-json")
async def sse_type_json_body(exchange: Exchange) -> None:
    """Bare JSON under the SSE type."""
    await exchange.reply(exchange.dumped(), headers=[SSE_TYPE])


@behaviour("U6", "ct-json-body-sse")
async def json_type_sse_body(exchange: Exchange) -> None:
    """An SSE event under the JSON type."""
    await exchange.reply(event(exchange.answer()), headers=[JSON_TYPE])


@behaviour("U6", "utf-7")
async def utf_7(exchange: Exchange) -> None:
    """Plain ASCII under the label UTF-7, by which it holds markup that UTF-8 does not show."""
    body = exchange.dumped("+ADw-script+AD4-")  # `<script>`
    await exchange.reply(body, headers=[("Content-Type", "application/json; charset=utf-7")])
