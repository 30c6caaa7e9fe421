"""The upstream client over TLS: which certificates it trusts, whom it asks for, how bodies end, how callers leave."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import random
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from proxy.errors import GatewayError, UpstreamFailed, UpstreamTimeout
from proxy.upstream import UpstreamClient
from proxy.upstream_connection import READ_AHEAD_BYTES
from tests.proxy.answers import answer
from tests.proxy.scripted import Peer, ScriptedServer, call, echoing, entry, on_both_loops, open_files

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Authority:
    """A certificate authority of the test's own; its certificate is the file `path`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test authority")])
        certificate = self._begin(self.name, self.key).add_extension(x509.BasicConstraints(True, 0), True)
        self.path = directory / "authority.pem"
        self.path.write_bytes(_pem(certificate.sign(self.key, hashes.SHA256())))

    def _begin(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: x509.Name | None = None, days: int = 1
    ) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(issuer or self.name, subject, key.public_key(), x509.random_serial_number())
        return builder.not_valid_before(NOW - 9 * DAY).not_valid_after(NOW + days * DAY)

    def server(self, host: str, *, days: int = 1, self_signed: bool = False) -> ssl.SSLContext:
        """Return a server's context with a certificate for `host` that ends in `days` days."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
        try:
            name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        builder = self._begin(subject, key, subject if self_signed else None, days)
        builder = builder.add_extension(x509.SubjectAlternativeName([name]), False)
        certificate = builder.sign(key if self_signed else self.key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.directory / f"{host}-{days}-{self_signed}.pem"
        path.write_bytes(private + _pem(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return the authority of this module."""
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def authority(made: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Return the authority, trusted by the clients that are built in this test."""
    monkeypatch.setenv("SSL_CERT_FILE", str(made.path))
    return made


@on_both_loops
async def test_a_trusted_certificate_is_accepted_and_its_host_asked_for(authority: Authority) -> None:
    context, asked = authority.server("localhost"), []
    context.sni_callback = lambda _, name, __: asked.append(name)
    async with ScriptedServer(echoing(answer(b"first")), context) as server:
        client = server.client("localhost")
        assert [await call(client), await call(client, b"second")] == [(200, b"first"), (200, b"second")]
        assert asked == ["localhost"] and server.connections == 1
    async with ScriptedServer(echoing(answer(b"{}")), authority.server("127.0.0.1")) as server:
        assert await call(server.client()) == (200, b"{}")


REFUSED: dict[str, Callable[[Authority], ssl.SSLContext]] = {
    "wrong host": lambda authority: authority.server("other.example"),
    "self-signed": lambda authority: authority.server("localhost", self_signed=True),
    "expired": lambda authority: authority.server("localhost", days=-2),
}


@pytest.mark.parametrize("case", REFUSED)
@on_both_loops
async def test_a_certificate_that_proves_nothing_is_refused(case: str, authority: Authority) -> None:
    async with ScriptedServer(echoing(answer(b"{}")), REFUSED[case](authority)) as server:
        before = open_files()
        with pytest.raises(UpstreamFailed) as failure:
            await call(server.client("localhost"))
        assert failure.value.reason == "upstream_tls" and server.requests == []
        await asyncio.sleep(0.05)
        assert open_files() <= before


@on_both_loops
async def test_an_authority_that_nobody_trusts_is_refused(made: Authority) -> None:
    async with ScriptedServer(echoing(answer(b"{}")), made.server("localhost")) as server:
        with pytest.raises(UpstreamFailed) as failure:
            await call(server.client("localhost"))
        assert failure.value.reason == "upstream_tls" and server.requests == []


@on_both_loops
async def test_a_server_without_tls_gets_no_request(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(100)
        await peer.send(answer(b"plain text"))

    async with ScriptedServer(script) as server:
        with pytest.raises(UpstreamFailed) as failure:
            await call(UpstreamClient(entry(f"https://localhost:{server.port}/mcp")))
        assert failure.value.reason == "upstream_tls" and server.requests == []


@pytest.mark.alone
@on_both_loops
async def test_a_handshake_that_hangs_ends_with_the_connect_deadline(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.closed_by_client()

    async with ScriptedServer(script) as server:
        before = open_files()
        begun = asyncio.get_running_loop().time()
        with pytest.raises(UpstreamTimeout) as failure:
            await call(UpstreamClient(entry(f"https://localhost:{server.port}/mcp", connect_s=0.3)))
        assert failure.value.reason == "connect_timeout"
        assert 0.25 < asyncio.get_running_loop().time() - begun < 0.8
        await asyncio.sleep(0.05)
        assert open_files() <= before


@pytest.mark.parametrize("alert", [True, False], ids=["closure alert", "no alert"])
@on_both_loops
async def test_a_body_that_ends_with_the_connection_needs_the_closure_alert(alert: bool, authority: Authority) -> None:
    size = 8 * READ_AHEAD_BYTES

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * size)
        if alert:
            peer.writer.close()
            await asyncio.sleep(0.2)
            return
        await asyncio.sleep(0.1)
        raw = socket.socket(fileno=socket.dup(peer.writer.get_extra_info("socket").fileno()))
        raw.shutdown(socket.SHUT_WR)  # beneath TLS, as somebody on the way could
        raw.close()
        await asyncio.sleep(0.2)

    async with ScriptedServer(script, authority.server("localhost")) as server:
        reply = await server.client("localhost").send("POST", {}, b"{}")
        await asyncio.sleep(0.15)  # the body's end waits behind a reader that is not there
        if alert:
            assert await reply.read(size) == b"x" * size
        else:
            with pytest.raises(UpstreamFailed) as failure:
                await reply.read(size)
            assert failure.value.reason == "upstream_closed"


@on_both_loops
async def test_callers_that_leave_during_the_handshake_cost_nothing(authority: Authority) -> None:
    random_ = random.Random(11)

    async def leave(client: UpstreamClient) -> None:
        with contextlib.suppress(TimeoutError, GatewayError):
            async with asyncio.timeout(random_.random() * 0.02):
                await call(client)

    async with ScriptedServer(echoing(answer(b"{}")), authority.server("localhost")) as server:
        before = open_files()
        client = server.client("localhost")
        for _ in range(40):
            await asyncio.gather(*(leave(client) for _ in range(4)))
            await client.close()
        for number in range(20):
            assert await call(client, b"good %d" % number) == (200, b"good %d" % number)
        for _ in range(100):
            if open_files() <= before:
                break
            await asyncio.sleep(0.01)
        assert open_files() <= before
