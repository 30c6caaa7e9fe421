"""M17: callers cannot make up a label; what they call by a name that nobody configured counts as `other`."""

from __future__ import annotations

import asyncio
import json
import re

import httpx
import pytest

from keys import secrets
from tests.gateway import Gateway
from tests.metrics.conftest import KEYS, scrape, tool

MADE_UP = 10_000
AT_ONCE = 20


async def _send_all(gateway: Gateway, number: int) -> None:
    """Make calls whose every name is made up: tool, method, namespace, key and resource."""
    numbers = iter(range(number))
    good = {"Authorization": f"Bearer {KEYS['alice']}", "Content-Type": "application/json"}

    async def work(client: httpx.AsyncClient) -> None:
        for n in numbers:
            kind = n % 5
            body = {"jsonrpc": "2.0", "id": 1, "method": f"made/up{n}"}
            if kind == 0:
                body = tool(f"made-up-{n}")
            elif kind == 4:
                body |= {"method": "resources/read", "params": {"uri": f"made://up/{n}"}}
            url = gateway.url(f"made-up-{n}" if kind == 2 else "open")
            headers = good if kind != 3 else good | {"Authorization": f"Bearer {secrets.generate()}"}
            await client.post(url, headers=headers, content=json.dumps(body))

    async with httpx.AsyncClient(timeout=60) as client:
        await asyncio.gather(*(work(client) for _ in range(AT_ONCE)))


@pytest.mark.timeout(400)
def test_ten_thousand_made_up_names_make_no_series(counted: Gateway) -> None:
    asyncio.run(_send_all(counted, 50))  # once each kind of end
    before = scrape(counted)
    asyncio.run(_send_all(counted, MADE_UP))
    after = scrape(counted)
    assert after.sum("mcp_gateway_requests_total") - before.sum("mcp_gateway_requests_total") == MADE_UP
    assert len(after) <= len(before) + 20  # a status or a reason that the first ones did not meet
    shown = {
        value for label in ("tool", "method", "path", "upstream", "identity") for value in after.label_values(label)
    }
    assert not [value for value in shown if re.search(r"made|MADE", value)]
    assert "other" in after.label_values("tool") & after.label_values("method") & after.label_values("path")
    assert not re.search("made|MADE|mcpgw_", " ".join(value for _, carried in after for _, value in carried))
