"""The probe behind Test connection: what it finds out, and what it says when there is nothing to find."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from namespaces import catalogue, outbound
from namespaces.probe import ProbeResult, Target, probe_target
from namespaces.sse import EventReader


def target(url: str, **fields: Any) -> Target:
    values: dict[str, Any] = {
        "era": "auto",
        "headers": {},
        "connect_timeout_s": 1.0,
        "first_byte_timeout_s": 2.0,
        "max_bytes": 4 << 20,
    }
    return Target(url=url, **(values | fields))


async def probe(url: str, deadline_s: float = 3.0, **fields: Any) -> ProbeResult:
    return await probe_target(target(url, **fields), deadline_s)


async def test_a_modern_server_is_found_with_its_lists(sdk_url: str) -> None:
    result = await probe(sdk_url)
    assert result.ok, result.message
    assert (result.era, result.protocol_version) == ("modern", "2026-07-28")
    assert (result.server_name, result.server_version) == ("sdk-upstream", "1.0.0")
    assert {"echo", "add"} <= {item["name"] for item in result.listings["tool"].items}
    assert result.tool_count == len(result.listings["tool"].items)
    assert all(listing.complete and listing.items for listing in result.listings.values())
    assert result.latency_ms is not None and 0 < result.latency_ms < 2000


async def test_a_legacy_server_is_found_and_its_session_is_ended(legacy_url: str) -> None:
    result = await probe(legacy_url)
    assert result.ok, result.message
    assert (result.era, result.protocol_version) == ("legacy", "2025-11-25")
    seen = httpx.get(legacy_url.replace("/mcp", "/_seen")).json()
    methods = [request["method"] for request in seen["requests"]]
    assert methods.count("DELETE") == 1 and methods[-1] == "DELETE"


@pytest.mark.parametrize(("era", "found"), [("modern", "modern"), ("legacy", "legacy")])
async def test_a_fixed_era_is_kept(sdk_url: str, era: str, found: str) -> None:
    result = await probe(sdk_url, era=era)
    assert result.ok and result.era == found


async def test_a_legacy_server_called_modern_is_explained(legacy_url: str) -> None:
    result = await probe(legacy_url, era="modern")
    assert (result.ok, result.reason) == (False, "era_mismatch")
    assert "find out" in result.message


@pytest.mark.parametrize(
    ("behaviour", "reasons"),
    [
        ("invalid", {"bad_json"}),
        ("truncated", {"bad_json", "broken_answer"}),
        ("empty", {"not_mcp"}),
        ("utf16", {"not_mcp", "bad_json"}),
        ("bad-utf8", {"bad_json"}),
        ("nan", {"bad_json"}),
        ("dup-keys", {"bad_json"}),
        ("deep", {"bad_json", "bad_answer", "not_mcp", "rpc_error"}),
        ("wrong-id", {"bad_answer"}),
        ("str-id", {"bad_answer"}),
        ("batch", {"not_mcp"}),
        ("both", {"bad_answer"}),
        ("scalar", {"not_mcp"}),
        ("html", {"not_mcp"}),
        ("status-401", {"credential_missing"}),
        ("status-403", {"credential_missing"}),
        ("status-429", {"rate_limited"}),
        ("status-503", {"server_error"}),
        ("redirect-canary", {"redirect"}),
        ("redirect-meta", {"redirect"}),
        ("redirect-loop", {"redirect"}),
        ("close", {"broken_answer"}),
        ("reset", {"broken_answer"}),
        ("close-mid-json", {"broken_answer"}),
        ("bad-chunk", {"broken_answer"}),
        ("http09", {"broken_answer"}),
        ("gzip-bomb", {"encoding"}),
        ("gzip-unasked", {"encoding"}),
        ("big-header", {"broken_answer"}),
    ],
)
async def test_a_hostile_server_is_named_by_what_it_does(hostile_url: str, behaviour: str, reasons: set[str]) -> None:
    began = time.monotonic()
    result = await probe(f"{hostile_url}/{behaviour}?all=1")
    assert not result.ok
    assert result.reason in reasons, result
    assert result.message.endswith((".", "?", ")")) and len(result.message) < 600
    assert time.monotonic() - began < 6
    assert not [r for r in httpx.get(f"{hostile_url}/_seen").json()["requests"] if r["path"] == "/canary"]


@pytest.mark.parametrize("behaviour", ["hang", "hang-after-head", "drip", "sse-idle", "sse-comments", "slow-head"])
async def test_a_slow_server_ends_at_the_deadline(hostile_url: str, behaviour: str) -> None:
    began = time.monotonic()
    result = await probe(f"{hostile_url}/{behaviour}?all=1", deadline_s=1.0)
    assert (result.ok, result.reason) == (False, "timeout")
    assert "within 1 s" in result.message and "server/discover" in result.message
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("behaviour", ["huge", "endless-json", "endless-sse", "sse-huge-line"])
async def test_an_endless_answer_is_cut(hostile_url: str, behaviour: str) -> None:
    result = await probe(f"{hostile_url}/{behaviour}?all=1", deadline_s=8.0, max_bytes=1 << 20)
    assert not result.ok
    assert result.reason in ("too_large", "timeout"), result


@pytest.mark.parametrize("era", ["", "?era=modern"])
@pytest.mark.parametrize("behaviour", ["tools-poison", "tools-10k", "tools-cursor-loop", "tools-cursor-grow"])
async def test_u19_hostile_lists_are_cut_and_cleaned(hostile_url: str, behaviour: str, era: str) -> None:
    result = await probe(f"{hostile_url}/{behaviour}{era}", deadline_s=10.0, max_bytes=32 << 20)
    if behaviour == "tools-cursor-grow" and not result.ok:
        assert result.reason in ("too_large", "timeout")
        return
    assert result.ok, result
    listing = result.listings["tool"]
    assert len(listing.items) <= catalogue.MAX_ENTRIES
    assert all(catalogue.is_usable(item["name"]) for item in listing.items)
    if behaviour == "tools-poison":
        assert listing.dropped > 0 and "dropped" in result.notes[0]
    else:
        assert not listing.complete and result.notes


async def test_u19_a_list_that_is_none_fails_with_its_method(hostile_url: str) -> None:
    result = await probe(f"{hostile_url}/tools-not-list")
    assert (result.ok, result.reason) == (False, "list_failed")
    assert "tools/list" in result.message


async def test_the_transport_of_2024_is_told_apart_and_its_endpoint_is_left_alone(hostile_url: str) -> None:
    result = await probe(f"{hostile_url}/sse-endpoint")
    assert (result.ok, result.reason) == (False, "transport_unsupported")
    assert "2024-11-05" in result.message
    assert not [r for r in httpx.get(f"{hostile_url}/_seen").json()["requests"] if r["path"] == "/canary"]


async def test_a_refused_connection_names_the_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    result = await probe(f"http://localhost:{port}/mcp")
    assert result.reason == "connection_refused"
    assert f"127.0.0.1:{port}" in result.message


async def test_a_name_that_does_not_resolve_is_called_so() -> None:
    result = await probe("http://no-such-host.invalid/mcp")
    assert result.reason == "dns" and "no-such-host.invalid" in result.message


@pytest.mark.parametrize("url", ["http://xn--/mcp", "http://xn--a-ecp.example/", "http://a..b/", "http://127.0.0.1:0/"])
async def test_a_url_that_cannot_be_is_called_so(url: str) -> None:
    assert (await probe(url)).reason == "url_invalid"


@pytest.mark.alone
@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://10.1.2.3/mcp",
        "http://metadata.google.internal/",
        "http://[64:ff9b::a9fe:a9fe]/",
    ],
)
async def test_s1_s4_forbidden_addresses_are_not_connected_to(url: str) -> None:
    await probe("http://127.0.0.1:47/")  # a process's first one imports what it needs
    began = time.monotonic()
    result = await probe(url)
    assert (result.ok, result.reason) == (False, "egress_denied")
    assert "GATEWAY_UPSTREAM_ALLOW" in result.message
    assert time.monotonic() - began < 0.5


async def test_s5_the_address_that_was_checked_is_the_one_connected_to(sdk_url: str, monkeypatch: Any) -> None:
    """The name leads to the server on its first look-up only, as a rebinding DNS server would have it."""
    from namespaces import egress

    looked_up: list[str] = []

    async def rebinding(host: str, port: int, family: int = 0) -> list[tuple[int, str]]:
        looked_up.append(host)
        return [(socket.AF_INET, "127.0.0.1" if len(looked_up) == 1 else "169.254.169.254")]

    monkeypatch.setattr(egress, "resolve", rebinding)
    port = httpx.URL(sdk_url).port
    result = await probe(f"http://localhost:{port}/mcp")
    assert result.ok, result.message
    assert looked_up == ["localhost"]


async def test_a_credential_that_the_server_echoes_is_masked(hostile_url: str) -> None:
    secret = "s3cr3t-of-the-upstream"
    result = await probe(f"{hostile_url}/status-401?all=1", headers={"Authorization": f"Bearer {secret}"})
    assert result.reason == "credential_refused"
    scrubbed = target("http://127.0.0.1/", headers={"Authorization": f"Bearer {secret}"}).scrub(f"bad token {secret}")
    assert scrubbed == "bad token ••••"
    assert secret not in repr(target("http://127.0.0.1/", headers={"Authorization": f"Bearer {secret}"}))


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for localhost and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    certificate_path, key_path = directory / "cert.pem", directory / "key.pem"
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_path, key_path


class NotFound(http.server.BaseHTTPRequestHandler):
    """Answers 404 to everything."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def tls_server(directory: Path) -> Iterator[tuple[int, Path, list[str | None]]]:
    """Serve TLS that answers 404 to everything; yield port, certificate and the server names asked for."""
    certificate, key = make_certificate(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    names: list[str | None] = []
    context.sni_callback = lambda connection, name, _: names.append(name)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), NotFound) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1], certificate, names
        finally:
            server.shutdown()
            thread.join()


async def test_an_untrusted_certificate_is_explained(tmp_path: Path) -> None:
    with tls_server(tmp_path) as (port, _, _names):
        result = await probe(f"https://localhost:{port}/mcp")
    assert result.reason == "tls"
    assert "self-signed" in result.message and "SSL_CERT_FILE" in result.message


async def test_tls_keeps_the_name_although_the_address_is_connected_to(tmp_path: Path, monkeypatch: Any) -> None:
    with tls_server(tmp_path) as (port, certificate, names):
        context = ssl.create_default_context(cafile=str(certificate))
        monkeypatch.setattr(outbound, "tls_context", lambda: context)
        result = await probe(f"https://localhost:{port}/mcp")
    assert result.reason == "http_status"  # TLS was fine
    assert set(names) == {"localhost"}


async def test_plain_http_on_a_tls_port_is_explained(sdk_url: str) -> None:
    result = await probe(sdk_url.replace("http://", "https://"))
    assert result.reason == "tls" and "plain http://" in result.message


def test_events_are_split_whatever_ends_their_lines() -> None:
    stream = b"\xef\xbb\xbf: hello\r\ndata: a\r\ndata: b\r\n\r\nevent: x\rdata:c\r\rdata: d\n\nid: 1\ndata:\n\n"
    for size in (1, 2, 3, 7, len(stream)):
        reader = EventReader(1000)
        events = [e.data for start in range(0, len(stream), size) for e in reader.feed(stream[start : start + size])]
        assert events == [b"a\nb", b"c", b"d", b""], size
