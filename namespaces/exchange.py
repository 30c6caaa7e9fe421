"""One JSON-RPC exchange with an upstream over HTTP: strict reading, byte budget, JSON or SSE answers."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import jiter

from namespaces.failures import ProbeFailure, quote

MAX_SESSION_ID = 2048
ACCEPT = "application/json, text/event-stream"


def parse(data: bytes) -> Any:
    """Read JSON strictly: no duplicate keys, no NaN, no lone surrogates. Raises ValueError."""
    return jiter.from_json(data, catch_duplicate_keys=True, allow_inf_nan=False, cache_mode="none")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one POST: HTTP facts, and the JSON-RPC message when there was one."""

    status: int
    message: Mapping[str, Any] | None = None
    session_id: str = ""
    location: str = ""
    retry_after: str = ""
    problem: str = ""  # why `message` is None, for people
    reason: str = ""  # the same as a code
    seconds: float = 0.0

    @property
    def result(self) -> Mapping[str, Any] | None:
        """The result object, when the call succeeded."""
        result = self.message.get("result") if self.message and self.status < 300 else None
        return result if isinstance(result, dict) else None

    @property
    def error(self) -> Mapping[str, Any] | None:
        """The JSON-RPC error object, when there is one."""
        error = self.message.get("error") if self.message else None
        return error if isinstance(error, dict) else None

    @property
    def error_code(self) -> int | None:
        """The code of the JSON-RPC error."""
        code = self.error.get("code") if self.error else None
        return code if isinstance(code, int) and not isinstance(code, bool) else None


class EventSplitter:
    """Cuts a byte stream into the data of server-sent events (WHATWG HTML §9.2); CR, LF and CRLF end lines."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._buffer = b""
        self._data: list[bytes] = []
        self._size = 0
        self._started = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of each event that `chunk` completes. Raises ProbeFailure for an oversized one."""
        self._buffer += chunk
        if not self._started and len(self._buffer) >= 3:
            self._started = True
            self._buffer = self._buffer.removeprefix(b"\xef\xbb\xbf")
        # A CR at the very end may be half of a CRLF: it waits for the next chunk.
        usable = self._buffer[:-1] if self._buffer.endswith(b"\r") else self._buffer
        lines = usable.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._buffer = lines.pop() + self._buffer[len(usable) :]
        for line in lines:
            if line:
                self._take(line)
            elif self._data:
                yield b"\n".join(self._data)
                self._data, self._size = [], 0
        if self._size + len(self._buffer) > self._max:
            raise ProbeFailure("too_large", f"The server sent an event of more than {self._max:,} bytes.")

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value) + 1


@dataclass(slots=True)
class Wire:
    """A conversation with one upstream. `budget` bytes may be read in all; `stage` says what is going on."""

    http: httpx.AsyncClient
    url: str
    headers: Mapping[str, str]
    budget: int
    max_event: int
    stage: str = "connecting"
    fastest: float | None = None  # seconds
    _next_id: int = field(default=0)

    async def call(self, method: str, params: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Answer:
        """Send a request and return its answer, whatever its status.

        Raises ProbeFailure (too_large, encoding), httpx.TransportError, EgressError, OSError.
        """
        self._next_id += 1
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": self._next_id, "method": method}
        if params is not None:
            body["params"] = params
        answer = await self._post(body, headers, self._next_id)
        if answer.result is not None and (self.fastest is None or answer.seconds < self.fastest):
            self.fastest = answer.seconds
        return answer

    async def notify(self, method: str, headers: Mapping[str, str]) -> Answer:
        """Send a notification and return its (bodyless) answer. Raises like `call`."""
        return await self._post({"jsonrpc": "2.0", "method": method}, headers, None)

    async def end_session(self, headers: Mapping[str, str]) -> None:
        """Send the DELETE that ends a legacy session; a server may refuse it (405)."""
        async with self.http.stream("DELETE", self.url, headers={**self.headers, **headers}):
            pass

    async def greets_with_endpoint(self) -> bool:
        """Return whether a GET opens the two-endpoint HTTP+SSE transport of 2024-11-05."""
        headers = {**self.headers, "Accept": "text/event-stream"}
        async with self.http.stream("GET", self.url, headers=headers) as response:
            if response.status_code != 200 or not _is_event_stream(response):
                return False
            async for chunk in self._chunks(response):
                return b"event: endpoint" in chunk or b"event:endpoint" in chunk
        return False

    async def _post(self, body: Mapping[str, Any], headers: Mapping[str, str], wanted: int | None) -> Answer:
        self.stage = f"the answer to {body['method']}"
        content = json.dumps(body, separators=(",", ":")).encode()
        sent = {**self.headers, "Accept": ACCEPT, "Content-Type": "application/json", **headers}
        began = time.monotonic()
        async with self.http.stream("POST", self.url, content=content, headers=sent) as response:
            found = await self._message(response, wanted) if wanted is not None else {}
        return Answer(
            status=response.status_code,
            session_id=_session_id(response),
            location=response.headers.get("location", ""),
            retry_after=response.headers.get("retry-after", ""),
            seconds=time.monotonic() - began,
            **found,
        )

    async def _message(self, response: httpx.Response, wanted: int) -> dict[str, Any]:
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise ProbeFailure(
                "encoding", f"The server compresses its answer ({quote(encoding, 40)}) although identity was asked for."
            )
        if response.is_success and _is_event_stream(response):
            return await self._from_events(response, wanted)
        body = b"".join([chunk async for chunk in self._chunks(response)])
        try:
            message = parse(body)
        except ValueError as error:
            return _unreadable(body, error)
        if not isinstance(message, dict) or not ("result" in message or "error" in message):
            return {"problem": "The answer is JSON, but no JSON-RPC response.", "reason": "not_mcp"}
        if response.is_success and not _answers(message, wanted):
            return {"problem": "The answer is not the JSON-RPC response to our request.", "reason": "bad_answer"}
        return {"message": message}

    async def _from_events(self, response: httpx.Response, wanted: int) -> dict[str, Any]:
        splitter = EventSplitter(self.max_event)
        async for chunk in self._chunks(response):
            for data in splitter.feed(chunk):
                if not data:
                    continue  # the priming event of 2025-11-25
                try:
                    message = parse(data)
                except ValueError as error:
                    return _unreadable(data, error)
                if isinstance(message, dict) and _answers(message, wanted):
                    return {"message": message}
        return {"problem": "The event stream ended without the answer to our request.", "reason": "bad_answer"}

    async def _chunks(self, response: httpx.Response) -> AsyncIterator[bytes]:
        async for chunk in response.aiter_raw():
            self.budget -= len(chunk)
            if self.budget < 0:
                raise ProbeFailure("too_large", "The server sent more bytes than the upstream's largest answer allows.")
            yield chunk


def _is_event_stream(response: httpx.Response) -> bool:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/event-stream"


def _session_id(response: httpx.Response) -> str:
    value = response.headers.get("mcp-session-id", "")
    return value if len(value) <= MAX_SESSION_ID and all("!" <= character <= "~" for character in value) else ""


def _answers(message: Mapping[str, Any], wanted: int) -> bool:
    """Return whether `message` is the response to request `wanted`: its id, and one of result and error."""
    identity = message.get("id")
    if isinstance(identity, bool) or identity != wanted or message.get("jsonrpc") != "2.0" or "method" in message:
        return False
    return isinstance(message.get("result"), dict) != isinstance(message.get("error"), dict)


def _unreadable(body: bytes, error: ValueError) -> dict[str, Any]:
    start = body[:512].lstrip().lower()
    if not start:
        return {"problem": "The answer is empty.", "reason": "not_mcp"}
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        return {"problem": "The answer is a web page, so the URL is not an MCP endpoint.", "reason": "not_mcp"}
    if not start.startswith((b"{", b"[", b'"')):
        sample = quote(body[:400].decode("utf-8", "replace"), 80)
        return {"problem": f"The answer is no JSON: “{sample}”.", "reason": "not_mcp"}
    return {"problem": f"The answer is broken JSON ({quote(error, 120)}).", "reason": "bad_json"}
