"""The demo server's HTTP side, run as `python -m gateway_project.demo.server --fd N` by `serve --demo`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from gateway_project.demo.protocol import answer

_PATH = "/mcp"
_MAX_BYTES = 1 << 20
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer POST /mcp; everything else is refused."""
    headers = {name.decode("latin-1"): value.decode("latin-1").strip() for name, value in scope["headers"]}
    if not _is_local(headers):
        await _send(send, 403)
    elif scope["path"] != _PATH:
        await _send(send, 404)
    elif scope["method"] != "POST":
        await _send(send, 405, extra=[(b"allow", b"POST")])
    elif headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        await _send(send, 415)
    elif not _accepts_json(headers.get("accept", "")):
        await _send(send, 406)
    elif (body := await _read(receive)) is None:
        await _send(send, 413)
    else:
        status, message = answer(body, headers)
        await _send(send, status, message)


def _is_local(headers: dict[str, str]) -> bool:
    """Return whether the request names this machine: a page from elsewhere must not reach a local server."""
    named = [f"//{headers.get('host', '')}", *([headers["origin"]] if "origin" in headers else [])]
    return all(urlsplit(one).hostname in _LOOPBACK for one in named)


def _accepts_json(accept: str) -> bool:
    kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return not accept or bool(kinds & {"application/json", "application/*", "*/*"})


async def _read(receive: Any) -> bytes | None:
    """Return the whole body, or None when it is too large or does not come to its end."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or len(body) > _MAX_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(body)


async def _send(send: Any, status: int, message: Any = None, extra: list[tuple[bytes, bytes]] | None = None) -> None:
    body = b"" if message is None else json.dumps(message, ensure_ascii=False).encode()
    headers = [(b"content-length", str(len(body)).encode()), *(extra or [])]
    if body:
        headers.append((b"content-type", b"application/json"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _leave_when_orphaned(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def main() -> None:
    """Serve on the inherited socket until SIGTERM."""
    options = argparse.ArgumentParser(prog="gateway demo server")
    options.add_argument("--fd", type=int, required=True, help="the listening socket's descriptor")
    listener = socket.socket(fileno=options.parse_args().fd)
    threading.Thread(target=_leave_when_orphaned, args=[os.getppid()], daemon=True).start()
    config = uvicorn.Config(
        application,
        lifespan="off",
        ws="none",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=1,
    )
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
