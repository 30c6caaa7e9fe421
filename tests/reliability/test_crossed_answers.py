"""P24: answers never cross between namespaces, keys or calls, whatever ids their callers choose."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.gateway import Gateway
from tests.reliability.client import Connection, protocol_headers, text_of, tool_call
from tests.reliability.conftest import KEYS, Figure

CALLS, AT_ONCE = 10_000, 50


async def test_no_answer_reaches_another_caller(four_workers: Gateway, figure: Figure) -> None:
    found: Counter[str] = Counter()

    async def work(number: int) -> None:
        name = "first" if number % 2 else "second"
        bare = number % 4 < 2  # those of one key share the gateway's own session, so their ids are rewritten
        connection = await Connection.open(four_workers.port)
        for step in range(CALLS // AT_ONCE):
            nonce = f"{name}-{number}-{step}"
            identifier = step % 3 if step % 2 else f"{step % 3}"  # the same few ids everywhere
            answer = await connection.call(
                "POST",
                f"/mcp/{name}",
                protocol_headers(KEYS[name], bare=bare),
                tool_call("echo", {"nonce": nonce, "padding": "x" * (step % 7 * 100)}, identifier),
            )
            own = answer.status == 200 and f'"{nonce}"' in text_of(answer) and answer.json()["id"] == identifier
            found["own" if own else f"HTTP {answer.status}" if answer.status != 200 else "crossed"] += 1
        connection.close()

    await asyncio.gather(*(work(number) for number in range(AT_ONCE)))
    other = await Connection.open(four_workers.port)
    headers = protocol_headers(KEYS["first"])
    forbidden = await other.call("POST", "/mcp/second", headers, tool_call("echo", {}))
    missing = await other.call("POST", "/mcp/third", headers, tool_call("echo", {}))
    other.close()
    figure(
        "P24",
        f"{CALLS:,} calls, {AT_ONCE} at once, two keys in two namespaces of one upstream, the same ids; half are bare",
        f"{found['own']:,} with their own nonce and id, {found['crossed']} crossed",
        "0 crossed",
    )
    assert dict(found) == {"own": CALLS}
    assert (forbidden.status, missing.status) == (404, 404)
    assert _without_ids(forbidden.json()) == _without_ids(missing.json())


def _without_ids(document: dict[str, object]) -> object:
    error = document["error"]
    assert isinstance(error, dict)
    return error["code"], error["message"], error.get("data", {}).get("reason")
