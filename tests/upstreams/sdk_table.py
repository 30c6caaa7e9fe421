"""Tables of tools and prompts for the SDK upstream: a schema, a handler, and the checks before the handler runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import jsonschema
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    GetPromptRequestParams,
    GetPromptResult,
    InputRequiredResult,
    Prompt,
    PromptArgument,
    TextContent,
    Tool,
)

Context = ServerRequestContext[Any, Any]
# A dict is a result of an extension, such as a task.
ToolAnswer = CallToolResult | InputRequiredResult | dict[str, Any]
ToolHandler = Callable[[Context, CallToolRequestParams], Awaitable[ToolAnswer]]
PromptHandler = Callable[[Context, GetPromptRequestParams], Awaitable[GetPromptResult | InputRequiredResult]]

NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}


def text_result(text: str, *, is_error: bool = False) -> CallToolResult:
    """A tool result of one text block."""
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=is_error)


class ToolFailure(Exception):
    """Raised by a handler whose tool failed; its text becomes an `isError` result."""


@dataclass(frozen=True, slots=True)
class ToolFixture:
    """One tool as it is listed, and what runs it."""

    tool: Tool
    run: ToolHandler


class ToolTable:
    """Tools in the order in which they are listed."""

    def __init__(self) -> None:
        self.fixtures: dict[str, ToolFixture] = {}

    def add(
        self, name: str, description: str, schema: dict[str, Any] = NO_ARGUMENTS, **extra: Any
    ) -> Callable[[ToolHandler], ToolHandler]:
        """Register the decorated handler; `schema` is the tool's inputSchema, `extra` goes to `Tool`."""

        def register(run: ToolHandler) -> ToolHandler:
            tool = Tool(name=name, description=description, input_schema=schema, **extra)
            self.fixtures[name] = ToolFixture(tool, run)
            return run

        return register

    def schema(self, name: str) -> dict[str, Any] | None:
        """The inputSchema of a tool, for the server's `Mcp-Param-*` checks."""
        fixture = self.fixtures.get(name)
        return fixture.tool.input_schema if fixture else None

    async def call(self, ctx: Context, params: CallToolRequestParams) -> ToolAnswer:
        """Run a tool after its arguments were held against its schema.

        Raises:
            MCPError: -32602 for a tool that is not in the table.
        """
        fixture = self.fixtures.get(params.name)
        if fixture is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name}")
        try:
            jsonschema.validate(params.arguments or {}, fixture.tool.input_schema)
        except jsonschema.ValidationError as problem:
            return text_result(f"Invalid arguments for {params.name}: {problem.message}", is_error=True)
        try:
            return await fixture.run(ctx, params)
        except ToolFailure as failure:
            return text_result(str(failure), is_error=True)


class PromptTable:
    """Prompts in the order in which they are listed."""

    def __init__(self) -> None:
        self.prompts: dict[str, tuple[Prompt, PromptHandler]] = {}

    def add(self, name: str, description: str, *arguments: str) -> Callable[[PromptHandler], PromptHandler]:
        """Register the decorated handler; every argument named is a required one."""

        def register(run: PromptHandler) -> PromptHandler:
            listed = [PromptArgument(name=key, description=f"Value of {key}", required=True) for key in arguments]
            self.prompts[name] = Prompt(name=name, description=description, arguments=listed or None), run
            return run

        return register

    async def get(self, ctx: Context, params: GetPromptRequestParams) -> GetPromptResult | InputRequiredResult:
        """Render a prompt.

        Raises:
            MCPError: -32602 for an unknown prompt or a missing argument.
        """
        if params.name not in self.prompts:
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {params.name}")
        prompt, run = self.prompts[params.name]
        given = params.arguments or {}
        missing = [argument.name for argument in prompt.arguments or [] if argument.name not in given]
        if missing:
            raise MCPError(INVALID_PARAMS, f"Prompt {params.name} needs the argument {missing[0]}")
        return await run(ctx, params)
