"""The official Python SDK client in both eras: list, call, progress, elicitation, sampling, changes, cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import time
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import ToolsListChanged
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.types import CreateMessageResult, ElicitResult, TextContent, ToolListChangedNotification

from tests.clients.endpoints import KEY, Endpoints, wait_until

# Sampling and logging are deprecated in the new era and as valid as ever in the old one.
warnings.simplefilter("ignore", MCPDeprecationWarning)

MODERN = "2026-07-28"
ERAS = [("legacy", "2025-11-25"), ("auto", MODERN), (MODERN, MODERN)]
both_eras = pytest.mark.parametrize(("mode", "version"), ERAS)


@contextlib.asynccontextmanager
async def connected(endpoints: Endpoints, mode: str, namespace: str = "sdk", **options: Any) -> AsyncIterator[Client]:
    """A connected client; `mode` is `legacy`, `auto` or a version."""
    async with create_mcp_http_client(headers=endpoints.headers) as http:
        transport = streamable_http_client(endpoints.url(namespace), http_client=http)
        async with Client(transport, mode=mode, cache=None, **options) as client:
            yield client


def text_of(result: Any) -> str:
    """The text of a tool result's first block."""
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


@both_eras
async def test_lists_and_calls(endpoints: Endpoints, mode: str, version: str) -> None:
    async with connected(endpoints, mode) as client:
        assert client.protocol_version == version
        tools = (await client.list_tools()).tools
        assert {"echo", "add", "slow", "whoami"} <= {tool.name for tool in tools}
        assert text_of(await client.call_tool("add", {"a": 2, "b": 3})) == "5"
        echoed = await client.call_tool("echo", {"message": "żółw 🐢", "deep": {"n": [1, 2.5, None]}})
        assert echoed.structured_content == {"message": "żółw 🐢", "deep": {"n": [1, 2.5, None]}}


@both_eras
async def test_reads_prompts_and_resources(endpoints: Endpoints, mode: str, version: str) -> None:
    async with connected(endpoints, mode) as client:
        assert len((await client.list_prompts()).prompts) == 5
        prompt = await client.get_prompt("test_prompt_with_arguments", {"arg1": "one", "arg2": "two"})
        assert "arg1='one', arg2='two'" in str(prompt.messages[0].content)
        assert len((await client.list_resources()).resources) == 3
        read = await client.read_resource("test://template/42/data")
        assert '"id": "42"' in str(read.contents[0])


@both_eras
async def test_a_failing_tool_and_an_unknown_one_are_told_apart(endpoints: Endpoints, mode: str, version: str) -> None:
    async with connected(endpoints, mode) as client:
        assert (await client.call_tool("test_error_handling")).is_error
        with pytest.raises(MCPError, match="Unknown tool: nothing_like_it") as caught:
            await client.call_tool("nothing_like_it")
        assert caught.value.error.code == -32602


@both_eras
async def test_progress_arrives_while_the_tool_works(endpoints: Endpoints, mode: str, version: str) -> None:
    arrivals: list[tuple[float, float]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        arrivals.append((time.monotonic(), progress))

    async with connected(endpoints, mode) as client:
        assert text_of(await client.call_tool("slow", {"seconds": 1}, progress_callback=note)) == "slept 1 s"
    assert [progress for _, progress in arrivals] == list(range(11))
    assert arrivals[-1][0] - arrivals[0][0] > 0.8


@both_eras
async def test_elicitation_asks_the_client(endpoints: Endpoints, mode: str, version: str) -> None:
    asked: list[str] = []

    async def answer(context: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"username": "ada", "email": "ada@example.com"})

    async with connected(endpoints, mode, elicitation_callback=answer) as client:
        result = await client.call_tool("test_elicitation", {"message": "Who are you?"})
    assert asked == ["Who are you?"]
    assert "action=accept" in text_of(result) and "ada@example.com" in text_of(result)


async def test_sampling_asks_the_client_in_the_legacy_era(endpoints: Endpoints) -> None:
    async def answer(context: Any, params: Any) -> CreateMessageResult:
        text = f"answer to {params.messages[0].content.text}"
        return CreateMessageResult(role="assistant", content=TextContent(type="text", text=text), model="none")

    async with connected(endpoints, "legacy", sampling_callback=answer) as client:
        result = await client.call_tool("test_sampling", {"prompt": "two and two"})
    assert text_of(result) == "LLM response: answer to two and two"


async def test_a_changed_list_is_announced_on_the_get_stream(endpoints: Endpoints) -> None:
    changed = asyncio.Event()

    async def note(message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            changed.set()

    async with connected(endpoints, "legacy", message_handler=note) as client:
        for _ in range(20):  # the client opens the stream on its own time, and nothing says when it is there
            await client.call_tool("test_trigger_tool_change")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), 0.25)
                break
    assert changed.is_set()


async def test_a_changed_list_is_announced_on_a_listen_stream(endpoints: Endpoints) -> None:
    async with connected(endpoints, "auto") as client, client.listen(tools_list_changed=True) as stream:
        await client.call_tool("test_trigger_tool_change")
        event = await asyncio.wait_for(anext(aiter(stream)), 5)
    assert isinstance(event, ToolsListChanged)


def _cancelled(endpoints: Endpoints) -> list[dict[str, Any]]:
    requests = endpoints.seen("sdk")["requests"]
    return [request for request in requests if request["rpc_method"] == "notifications/cancelled"]


def _left(endpoints: Endpoints) -> bool:
    return any(ending["how"] == "disconnected" for ending in endpoints.seen("sdk")["closed"])


@both_eras
async def test_a_cancelled_call_reaches_the_upstream(endpoints: Endpoints, mode: str, version: str) -> None:
    async with connected(endpoints, mode) as client:
        endpoints.forget("sdk")
        call = asyncio.create_task(client.call_tool("slow", {"seconds": 60}))
        await asyncio.to_thread(wait_until, lambda: bool(endpoints.seen("sdk")["requests"]), 5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        if version == MODERN:  # leaving is cancelling; in the old era a notification says it
            await asyncio.to_thread(wait_until, lambda: _left(endpoints), 5)
        else:
            await asyncio.to_thread(wait_until, lambda: bool(_cancelled(endpoints)), 5)
        assert text_of(await client.call_tool("add", {"a": 1, "b": 1})) == "2"


@both_eras
async def test_the_key_stays_with_the_gateway(endpoints: Endpoints, mode: str, version: str) -> None:
    async with connected(endpoints, mode) as client:
        known = (await client.call_tool("whoami")).structured_content
    assert known["protocol_version"] == version
    assert "authorization" not in known["headers"]
    assert KEY not in str(endpoints.seen("sdk"))


@pytest.mark.parametrize(
    ("namespace", "version"), [("session", "2025-11-25"), ("stateless", "2025-11-25"), ("modern", MODERN)]
)
async def test_the_era_of_a_one_era_upstream_is_found(endpoints: Endpoints, namespace: str, version: str) -> None:
    async with connected(endpoints, "auto", namespace) as client:
        assert client.protocol_version == version
        assert text_of(await client.call_tool("add", {"a": 20, "b": 22})) == "42"
