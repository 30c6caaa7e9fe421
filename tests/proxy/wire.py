"""HTTP by hand: bytes that no HTTP library would send, and answers read to their exact end."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

TIMEOUT_S = 8.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. `headers` keep order and repetitions, names in lower case; `body` is without framing."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first value of a header; None when it is absent."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> int | None:
        """The JSON-RPC error code; None for a result."""
        error = self.message.get("error")
        return error["code"] if error else None

    @property
    def reason(self) -> str | None:
        """The gateway's reason code; None where it gives none."""
        return ((self.message.get("error") or {}).get("data") or {}).get("reason")

    @property
    def message(self) -> dict[str, Any]:
        """The JSON-RPC response: the body itself, or the last message of an event stream."""
        if (self.header("content-type") or "").startswith("text/event-stream"):
            return self.events[-1]
        return dict(self.json)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The messages of an event stream."""
        lines = self.body.decode().splitlines()
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]

    @property
    def text(self) -> str:
        """The text of a tool result's first block."""
        return str(self.message["result"]["content"][0]["text"])


class Connection:
    """One client connection to the gateway; a context manager."""

    def __init__(self, port: int, timeout_s: float = TIMEOUT_S, receive_buffer: int = 0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._buffer = b""
        self._text = ""
        self.is_closed = False

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close our side."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are; a gateway that has hung up meanwhile is no error here."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.is_closed = True

    def _more(self) -> bool:
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self._buffer += data
        self.is_closed = not data
        return bool(data)

    def _until(self, mark: bytes) -> bytes | None:
        while mark not in self._buffer:
            if not self._more():
                return None
        found, self._buffer = self._buffer.split(mark, 1)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size and self._more():
            pass
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def read_head(self) -> Answer | None:
        """Return status and headers of the next answer; None when the gateway closed instead."""
        while True:
            head = self._until(b"\r\n\r\n")
            if head is None:
                return None
            first, *lines = head.decode("latin-1").split("\r\n")
            status = int(first.split(" ", 2)[1])
            if status >= 200:
                pairs = (line.partition(":") for line in lines)
                return Answer(status, [(name.lower(), value.strip()) for name, _, value in pairs])

    def read_chunk(self) -> bytes:
        """Return the next chunk of a chunked body; empty at its end."""
        size = self._until(b"\r\n")
        if size is None:
            raise ConnectionError("the gateway closed in the middle of a chunked body")
        data = self._exactly(int(size, 16) + 2)
        return data[:-2]

    def gather(self, seconds: float) -> bytes:
        """Return what comes of a chunked body within so many seconds, or until its end, whole chunks only."""
        until = time.monotonic() + seconds
        try:
            while (left := until - time.monotonic()) > 0:
                self.socket.settimeout(left)
                if not self._more():
                    break
        except TimeoutError:
            pass
        found, rest = b"", self._buffer
        while b"\r\n" in rest:
            size, rest = rest.split(b"\r\n", 1)
            length = int(size, 16)
            if not length or len(rest) < length:
                break
            found, rest = found + rest[:length], rest[length + 2 :]
        return found

    def read(self, method: str = "POST") -> Answer | None:
        """Return the next answer, whole; None when the gateway closed instead."""
        head = self.read_head()
        if head is None or method == "HEAD" or head.status in (204, 304):
            return head
        if head.header("transfer-encoding") == "chunked":
            body = b"".join(iter(self.read_chunk, b""))
        else:
            body = self._exactly(int(head.header("content-length") or 0))
        return Answer(head.status, head.headers, body)

    def read_event(self) -> tuple[dict[str, str], str]:
        """Return the fields of the next event of a chunked stream and its data; comments are skipped."""
        while True:
            while "\n\n" not in self._text:
                chunk = self.read_chunk()
                if not chunk:
                    raise EOFError("the stream ended")
                self._text += chunk.decode()
            block, self._text = self._text.split("\n\n", 1)
            lines = [line.partition(": ") for line in block.split("\n") if not line.startswith(":")]
            if lines:
                fields = {name: value for name, _, value in lines if name != "data"}
                return fields, "\n".join(value for name, _, value in lines if name == "data")

    def read_message(self) -> dict[str, Any]:
        """Return the next JSON-RPC message of an event stream."""
        while True:
            _, data = self.read_event()
            if data:
                return dict(json.loads(data))

    def wait_closed(self, within_s: float) -> float:
        """Return after how many seconds the gateway closed. Raises TimeoutError when it did not."""
        begun = time.monotonic()
        self.socket.settimeout(within_s)
        while not self.is_closed and self._more():
            self.socket.settimeout(max(0.01, within_s - (time.monotonic() - begun)))
        return time.monotonic() - begun


def request(
    path: str,
    body: bytes = b"",
    headers: list[tuple[str, str]] | None = None,
    *,
    method: str = "POST",
    host: str = "127.0.0.1",
    length: int | None = None,
) -> bytes:
    """Return the bytes of a request. `length` is the Content-Length told; None for the true one."""
    told = len(body) if length is None else length
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers or ())]
    if body or length is not None:
        lines.append(f"Content-Length: {told}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def play(port: int, data: bytes, timeout_s: float = TIMEOUT_S, *, half_close: bool = False) -> list[Answer]:
    """Send bytes on a connection of their own; return the answers until the gateway closes or falls silent.

    `half_close` ends our sending side after the bytes.
    """
    answers: list[Answer] = []
    with Connection(port, timeout_s) as connection:
        connection.send(data)
        if half_close:
            connection.socket.shutdown(socket.SHUT_WR)
        try:
            while (answer := connection.read()) is not None:
                answers.append(answer)
                connection.socket.settimeout(0.3)
        except TimeoutError:
            if not answers:
                raise
    return answers
