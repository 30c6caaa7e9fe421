"""Everyday tools (echo, add, slow, whoami, stream) and the tool fixtures that the conformance scenarios call."""

from __future__ import annotations

import json
from typing import Any

import anyio
from mcp.server.subscriptions import PromptsListChanged, SubscriptionBus, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp.types import MISSING_REQUIRED_CLIENT_CAPABILITY, CallToolRequestParams, CallToolResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from tests.upstreams import sdk_content as content
from tests.upstreams.sdk_table import Context, ToolFailure, ToolTable, text_result

STEP_S = 0.05  # pause between two notifications of one call


def _object(required: list[str] | None = None, **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required or []}


def is_modern(ctx: Context) -> bool:
    """Whether the request came in the stateless era."""
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS


async def log_info(ctx: Context, line: str) -> None:
    """A log notification on the stream of the request; the modern era drops it unless the request asked for it."""
    await ctx.session.send_log_message("info", line, related_request_id=ctx.request_id)


def add_content_tools(tools: ToolTable) -> None:
    """Tools that answer at once with each kind of content."""

    @tools.add("test_simple_text", "Answers one text block")
    async def simple_text(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        return text_result("This is a simple text response for testing.")

    @tools.add("test_image_content", "Answers an image block")
    async def image(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        return CallToolResult(content=[content.image()])

    @tools.add("test_audio_content", "Answers an audio block")
    async def audio(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        return CallToolResult(content=[content.audio()])

    @tools.add("test_embedded_resource", "Answers an embedded resource")
    async def embedded(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        block = content.embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
        return CallToolResult(content=[block])

    @tools.add("test_multiple_content_types", "Answers text, image and resource together")
    async def mixed(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        resource = content.embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
        return CallToolResult(content=[content.text("Multiple content types test:"), content.image(), resource])

    @tools.add("test_error_handling", "Fails always")
    async def error(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        raise ToolFailure("This tool intentionally returns an error for testing")

    @tools.add("json_schema_2020_12_tool", "Tool with JSON Schema 2020-12 features", content.SCHEMA_2020_12)
    async def schema(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        return text_result(json.dumps(params.arguments))

    region = {"type": "string", "description": "Mirrored into Mcp-Param-Region", "x-mcp-header": "Region"}

    @tools.add("test_x_mcp_header", "Has an argument mirrored into a header", _object(region=region))
    async def header(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        return text_result(f"region={(params.arguments or {}).get('region', '')}")


def add_everyday_tools(tools: ToolTable) -> None:
    """Tools for the project's own tests."""

    @tools.add("echo", "Answers its arguments", _object(["message"], message={"type": "string"}))
    async def echo(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        arguments = params.arguments or {}
        return CallToolResult(content=[content.text(arguments["message"])], structured_content=arguments)

    number = {"type": "number"}

    @tools.add("add", "Adds two numbers", _object(["a", "b"], a=number, b=number))
    async def add(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        arguments = params.arguments or {}
        return text_result(json.dumps(arguments["a"] + arguments["b"]))

    @tools.add("slow", "Works for a while, with ten steps of progress", _object(["seconds"], seconds=number))
    async def slow(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        seconds = float((params.arguments or {})["seconds"])
        for step in range(10):
            await ctx.session.report_progress(step, 10, f"step {step} of 10")
            await anyio.sleep(seconds / 10)
        await ctx.session.report_progress(10, 10, "done")
        return text_result(f"slept {seconds:g} s")

    @tools.add("whoami", "Tells what the server knows of its caller")
    async def whoami(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        client = ctx.session.client_params
        known = {
            "protocol_version": ctx.protocol_version,
            "client": client.client_info.name if client else None,
            "headers": dict(ctx.request.headers) if ctx.request is not None else {},
        }
        return CallToolResult(content=[content.text(json.dumps(known))], structured_content=known)


def add_notifying_tools(tools: ToolTable) -> None:
    """Tools that send notifications while they run."""

    @tools.add("test_tool_with_logging", "Sends three log lines")
    async def logging(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await log_info(ctx, line)
            await anyio.sleep(STEP_S)
        return text_result("Tool with logging executed successfully")

    @tools.add("test_logging_tool", "Sends one log line, which only a caller that asked for logs may see")
    async def one_line(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        await log_info(ctx, "Logging tool ran")
        return text_result("logged")

    @tools.add("test_tool_with_progress", "Reports progress 0, 50 and 100 of 100")
    async def progress(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        for done in (0, 50, 100):
            await ctx.session.report_progress(done, 100, f"Completed step {done} of 100")
            await anyio.sleep(STEP_S)
        return text_result("Tool with progress executed successfully")

    @tools.add("test_reconnection", "Closes its SSE stream while it runs; the answer waits for a reconnect")
    async def reconnection(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        await anyio.sleep(STEP_S)  # the priming event must be out, or there is nothing to resume from
        if ctx.close_sse_stream is not None:
            await ctx.close_sse_stream()
        await anyio.sleep(4 * STEP_S)
        return text_result("Reconnection test completed successfully")


def add_change_tools(tools: ToolTable, bus: SubscriptionBus) -> None:
    """Tools that announce changed lists, on listen streams in the modern era and on the GET stream before."""

    @tools.add("test_trigger_tool_change", "Announces a changed tool list")
    async def tool_change(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        if is_modern(ctx):
            await bus.publish(ToolsListChanged())
        else:
            await ctx.session.send_tool_list_changed()
        return text_result("tool list changed")

    @tools.add("test_trigger_prompt_change", "Announces a changed prompt list")
    async def prompt_change(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        if is_modern(ctx):
            await bus.publish(PromptsListChanged())
        else:
            await ctx.session.send_prompt_list_changed()
        return text_result("prompt list changed")

    @tools.add("test_missing_capability", "Works only for a client that declared sampling")
    async def missing_capability(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        declared = ctx.session.client_capabilities
        if declared is None or declared.sampling is None:
            raise MCPError(
                MISSING_REQUIRED_CLIENT_CAPABILITY,
                "This tool needs the client capability 'sampling'",
                {"requiredCapabilities": {"sampling": {}}},
            )
        return text_result("sampling is declared")
