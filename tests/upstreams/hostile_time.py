"""Upstreams that waste time or space: silence, drips, endless and compressed bodies (cases U1 to U3)."""

from __future__ import annotations

import asyncio
import gzip
import json
import struct
import zlib
from collections.abc import Iterator

from tests.upstreams.hostile_exchange import JSON_TYPE, Exchange, behaviour, event, head

DRIP_S = 0.2  # pause between the bytes of a drip
BLOCK = 1 << 20  # bytes of one block of an endless or compressed body


@behaviour("U1", "hang")
async def hang(exchange: Exchange) -> None:
    """Never answer."""
    await exchange.hang()


@behaviour("U1", "hang-after-head")
async def hang_after_head(exchange: Exchange) -> None:
    """Promise a body that never comes."""
    await exchange.send(head(200, [JSON_TYPE, ("Content-Length", "1000")]))
    await exchange.hang()


@behaviour("U1", "slow-head")
async def slow_head(exchange: Exchange) -> None:
    """A head that never ends, byte by byte."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Slow: ")
    while True:
        await exchange.send(b"a")
        await asyncio.sleep(DRIP_S)


@behaviour("U1", "drip")
async def drip(exchange: Exchange) -> None:
    """A body that never ends, one blank at a time before the JSON begins."""
    await exchange.begin(JSON_TYPE)
    while True:
        await exchange.part(b" ")
        await asyncio.sleep(DRIP_S)


@behaviour("U1", "sse-idle")
async def sse_idle(exchange: Exchange) -> None:
    """A stream without events."""
    await exchange.begin()
    await exchange.hang()


@behaviour("U1", "sse-comments")
async def sse_comments(exchange: Exchange) -> None:
    """A stream of comments only, each of which looks like life."""
    await exchange.begin()
    while True:
        await exchange.part(b": still here\n\n")
        await asyncio.sleep(DRIP_S)


@behaviour("U2", "huge")
async def huge(exchange: Exchange) -> None:
    """One correct answer of `mb` mebibytes (64)."""
    await exchange.reply(exchange.dumped("x" * int(exchange.number("mb", 64) * BLOCK)))


@behaviour("U2", "endless-json")
async def endless_json(exchange: Exchange) -> None:
    """A JSON string without an end."""
    await exchange.begin(JSON_TYPE)
    await exchange.part(exchange.dumped("x").split(b'"x"')[0] + b'"')
    while True:
        await exchange.part(b"x" * BLOCK)


@behaviour("U2", "endless-sse")
async def endless_sse(exchange: Exchange) -> None:
    """Log notifications of `size` bytes (1,000) as fast as they are taken, and no answer."""
    size = int(exchange.number("size", 1000))
    log = event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x" * size}})
    await exchange.begin()
    while True:
        await exchange.part(log * max(1, 60_000 // size))


@behaviour("U2", "sse-tiny")
async def sse_tiny(exchange: Exchange) -> None:
    """The smallest messages there are, thousands in one read, and no answer: what costs is their number."""
    tiny = b'data:{"jsonrpc":"2.0","method":"a"}\n\n' * 8000
    await exchange.begin()
    while True:
        await exchange.part(tiny)


@behaviour("U2", "sse-huge-line")
async def sse_huge_line(exchange: Exchange) -> None:
    """One event whose data line has no end."""
    await exchange.begin()
    await exchange.part(b"data: ")
    while True:
        await exchange.part(b"x" * BLOCK)


def bomb(prefix: bytes, suffix: bytes, megabytes: int) -> tuple[int, Iterator[bytes]]:
    """The length of a gzip body of `megabytes` MiB of `x` between prefix and suffix, and the body, part by part.

    It is about a thousandth of that. A full flush resets the compressor, so that the bytes of one block can be
    repeated; nothing is ever held as a whole.
    """
    filler = b"x" * BLOCK
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + deflate.compress(prefix) + deflate.flush(zlib.Z_FULL_FLUSH)
    block = deflate.compress(filler) + deflate.flush(zlib.Z_FULL_FLUSH)
    end = deflate.compress(suffix) + deflate.flush()

    def parts() -> Iterator[bytes]:
        yield start
        checksum = zlib.crc32(prefix)
        for _ in range(megabytes):
            checksum = zlib.crc32(filler, checksum)
            yield block
        size = len(prefix) + megabytes * BLOCK + len(suffix)
        yield end + struct.pack("<II", zlib.crc32(suffix, checksum), size & 0xFFFFFFFF)

    return len(start) + megabytes * len(block) + len(end) + 8, parts()


@behaviour("U3", "gzip-bomb")
async def gzip_bomb(exchange: Exchange) -> None:
    """A correct answer of `mb` mebibytes (512), compressed a thousand times."""
    prefix, suffix = exchange.dumped("@@").split(b"@@")
    length, parts = bomb(prefix, suffix, int(exchange.number("mb", 512)))
    await exchange.send(head(200, [JSON_TYPE, ("Content-Encoding", "gzip"), ("Content-Length", str(length))]))
    for part in parts:
        await exchange.send(part)
        await asyncio.sleep(0)  # others are served meanwhile


@behaviour("U3", "gzip-bad")
async def gzip_bad(exchange: Exchange) -> None:
    """Claims gzip and sends noise behind a right magic number."""
    await exchange.reply(b"\x1f\x8b" + b"noise" * 50, headers=[JSON_TYPE, ("Content-Encoding", "gzip")])


@behaviour("U3", "gzip-unasked")
async def gzip_unasked(exchange: Exchange) -> None:
    """A correct answer in gzip, whatever Accept-Encoding said."""
    body = gzip.compress(json.dumps(exchange.answer()).encode())
    await exchange.reply(body, headers=[JSON_TYPE, ("Content-Encoding", "gzip")])
