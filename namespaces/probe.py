"""Ask an upstream what it is: protocol era, version, latency and what it lists, or the exact reason why not.

Behind *Test connection*, health checks and discovery. Reads no database itself (`Target.of` does) and writes nothing;
`namespaces.catalogue.record` stores what was found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from urllib.parse import urlsplit

import httpx
from asgiref.sync import sync_to_async
from django.conf import settings

from namespaces import egress, failures, outbound
from namespaces.conversation import converse
from namespaces.exchange import Wire
from namespaces.failures import ProbeFailure
from namespaces.fields import UndecryptableError
from namespaces.findings import Listing, ProbeResult, Target
from namespaces.models import Upstream

__all__ = ["Listing", "ProbeResult", "Target", "check", "probe", "probe_many", "probe_target"]

DEADLINE_S = 20.0  # of a whole probe
AT_ONCE = 8  # probes of `probe_many` that run side by side


async def probe(upstream: Upstream, deadline_s: float = DEADLINE_S) -> ProbeResult:
    """Probe an upstream within `deadline_s` seconds. Never raises for what the server or the network does."""
    try:
        target = await sync_to_async(Target.of)(upstream)
    except UndecryptableError as error:
        return ProbeResult(False, str(error), "credential_unreadable")
    return await probe_target(target, deadline_s)


def check(upstream: Upstream, *, lists: bool, deadline_s: float = DEADLINE_S) -> ProbeResult:
    """Probe one upstream from synchronous code, in an event loop of its own. Never raises, like `probe`."""
    try:
        target = Target.of(upstream)
    except UndecryptableError as error:
        return ProbeResult(False, str(error), "credential_unreadable")
    return asyncio.run(probe_target(target, deadline_s, lists=lists))


def probe_many(upstreams: Iterable[Upstream], deadline_s: float = DEADLINE_S) -> list[ProbeResult]:
    """Probe upstreams from synchronous code, several at a time; the results stand in the order given.

    Runs an event loop of its own in the calling thread, so that the loop which serves calls is not disturbed.
    """
    targets: list[Target | ProbeResult] = []
    for upstream in upstreams:
        try:
            targets.append(Target.of(upstream))
        except UndecryptableError as error:
            targets.append(ProbeResult(False, str(error), "credential_unreadable"))

    async def run() -> list[ProbeResult]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(target: Target | ProbeResult) -> ProbeResult:
            if isinstance(target, ProbeResult):
                return target
            async with gate:
                return await probe_target(target, deadline_s)

        return list(await asyncio.gather(*map(one, targets)))

    return asyncio.run(run())


async def probe_target(target: Target, deadline_s: float = DEADLINE_S, *, lists: bool = True) -> ProbeResult:
    """Probe what `target` describes, its lists too if asked. Never raises for what the server or the network does."""
    host = urlsplit(target.url).hostname or target.url
    transport = outbound.CheckedTransport()
    timeout = httpx.Timeout(target.first_byte_timeout_s, connect=target.connect_timeout_s)
    async with outbound.client(transport, timeout) as http:
        wire = Wire(http, target.url, target.headers, target.max_bytes, settings.MAX_EVENT_BYTES)
        try:
            async with asyncio.timeout(deadline_s):
                egress.check_url(target.url)
                return await converse(wire, target, lists)
        except ProbeFailure as failure:
            finding = failure
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            waited = _waited(error, target, deadline_s)
            finding = failures.from_transport(error, host, transport.last_address, wire.stage, waited)
    return ProbeResult(False, target.scrub(str(finding)), finding.reason)


def _waited(error: Exception, target: Target, deadline_s: float) -> float:
    if isinstance(error, httpx.ConnectTimeout):
        return target.connect_timeout_s
    return target.first_byte_timeout_s if isinstance(error, httpx.TimeoutException) else deadline_s
