"""HTTP/1.1 answers as bytes, well framed."""

from __future__ import annotations


def answer(body: bytes = b"", *headers: str, status: str = "200 OK") -> bytes:
    """Return an HTTP/1.1 answer with a Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*parts: bytes, trailer: bytes = b"", version: str = "1.1", headers: str = "") -> bytes:
    """Return a chunked answer."""
    head = f"HTTP/{version} 200 OK\r\n{headers}Transfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailer + b"\r\n"
