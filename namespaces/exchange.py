"""One JSON-RPC exchange with an upstream over HTTP: strict reading, byte budget, JSON or SSE answers."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from namespaces.failures import ProbeFailure, quote
from namespaces.sse import Event, EventReader, EventTooLarge
from namespaces.strict_json import read_json

MAX_SESSION_ID = 2048
ACCEPT = "application/json, text/event-stream"


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
            message = read_json(body)
        except ValueError as error:
            return _unreadable(body, error)
        if not isinstance(message, dict) or not ("result" in message or "error" in message):
            return {"problem": "The answer is JSON, but no JSON-RPC response.", "reason": "not_mcp"}
        if response.is_success and not _answers(message, wanted):
            return {"problem": "The answer is not the JSON-RPC response to our request.", "reason": "bad_answer"}
        return {"message": message}

    async def _from_events(self, response: httpx.Response, wanted: int) -> dict[str, Any]:
        reader = EventReader(self.max_event)
        async for chunk in self._chunks(response):
            for event in self._events(reader, chunk):
                if not event.data:
                    continue  # the priming event of 2025-11-25
                try:
                    message = read_json(event.data)
                except ValueError as error:
                    return _unreadable(event.data, error)
                if isinstance(message, dict) and _answers(message, wanted):
                    return {"message": message}
        return {"problem": "The event stream ended without the answer to our request.", "reason": "bad_answer"}

    def _events(self, reader: EventReader, chunk: bytes) -> list[Event]:
        try:
            return reader.feed(chunk)
        except EventTooLarge:
            message = f"The server sent an event of more than {self.max_event:,} bytes."
            raise ProbeFailure("too_large", message) from None

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
