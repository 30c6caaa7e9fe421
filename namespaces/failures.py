"""Why an upstream cannot be used: a code for logs and lists, and a sentence with the next step for people."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

import httpx

from namespaces.egress import EgressError

MAX_QUOTE = 200


class ProbeFailure(Exception):
    """The probe ended without a usable server. `reason` is the code, the text is meant for an admin."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def quote(text: object, limit: int = MAX_QUOTE) -> str:
    """Return foreign text on one line, without control characters, at most `limit` characters long."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in str(text)[: limit * 4]).split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error.__context__


def _tls(error: ssl.SSLError, host: str) -> ProbeFailure:
    if isinstance(error, ssl.SSLCertVerificationError):
        return ProbeFailure(
            "tls",
            f"The certificate of {host} is not trusted: {quote(error.verify_message)}. Install its authority in the "
            "system's trust store, or point SSL_CERT_FILE at it, and restart the gateway.",
        )
    return ProbeFailure(
        "tls",
        f"TLS with {host} failed: {quote(error.reason or error)}. Does the server speak plain http:// on this port?",
    )


def _connect(error: OSError | None, host: str, address: str) -> ProbeFailure:
    where = f"{host} ({address})" if address and not address.startswith(host) else address or host
    if error is not None and error.errno == errno.ECONNREFUSED:
        return ProbeFailure(
            "connection_refused", f"Connection refused by {where}. Is the server running, and is the port right?"
        )
    detail = quote(error.strerror or error) if error is not None else "no answer"
    return ProbeFailure("connect_failed", f"No connection to {where}: {detail}. Check the network and the address.")


def from_transport(error: Exception, host: str, address: str, stage: str, seconds: float) -> ProbeFailure:
    """Turn an exception of the network into a finding.

    Args: host: from the URL; address: `ip:port` last tried, or empty; stage: what was being waited for;
    seconds: how long. Raises nothing.
    """
    causes = list(_chain(error))
    if isinstance(error, EgressError):
        return ProbeFailure(error.reason, str(error))
    if isinstance(error, UnicodeError | httpx.InvalidURL):
        return ProbeFailure("url_invalid", f"{host} cannot be a host name: {quote(error)}. Correct the URL.")
    if isinstance(error, httpx.ConnectTimeout):
        return ProbeFailure(
            "timeout", f"No connection to {address or host} within {seconds:g} s. Is a firewall dropping packets?"
        )
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return ProbeFailure(
            "timeout", f"No end to {stage} within {seconds:g} s. Is the server overloaded, or is this the wrong path?"
        )
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return ProbeFailure(
                "dns", f"The name {host} does not resolve ({quote(cause.strerror)}). Check its spelling and your DNS."
            )
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return _tls(cause, host)
    if isinstance(error, httpx.ConnectError | OSError):
        coded = [cause for cause in causes if isinstance(cause, OSError) and cause.errno]
        return _connect(coded[-1] if coded else None, host, address)
    return ProbeFailure(
        "broken_answer",
        f"The connection to {host} broke during {stage}: {quote(error) or type(error).__name__}. "
        "Look into that server's own log.",
    )


def from_status(status: int, retry_after: str, has_credential: bool, location: str) -> ProbeFailure:
    """Turn an HTTP status that is no answer of MCP into a finding with its next step."""
    if status in (401, 403):
        if has_credential:
            return ProbeFailure(
                "credential_refused",
                f"The server refuses the gateway's credential (HTTP {status}). Enter a valid one under Credentials.",
            )
        return ProbeFailure(
            "credential_missing",
            f"The server wants a credential (HTTP {status}). Add one under Credentials, such as “Bearer …”.",
        )
    if 300 <= status < 400:
        target = f" to {quote(location)}" if location else ""
        return ProbeFailure(
            "redirect",
            f"The server redirects{target} (HTTP {status}); redirects are not followed. Enter the final URL.",
        )
    if status == 429:
        wait = f" It asks to wait {quote(retry_after, 20)} s." if retry_after else ""
        return ProbeFailure("rate_limited", f"The server is limiting our requests (HTTP 429).{wait} Try again later.")
    if status >= 500:
        return ProbeFailure(
            "server_error", f"The server failed with HTTP {status}. Look into that server's own log, then test again."
        )
    return ProbeFailure(
        "http_status", f"The server answered HTTP {status}. Check the path of the URL; many servers listen at /mcp."
    )
