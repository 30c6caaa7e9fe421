"""Tools that become tasks for a caller that declares the extension, and run in their answer for any other."""

from __future__ import annotations

import asyncio
from typing import Any

from mcp.types import CallToolRequestParams, CallToolResult, InputRequiredResult

from tests.upstreams import sdk_content as content
from tests.upstreams.sdk_asking import NAME_FORM, elicitation, form_value
from tests.upstreams.sdk_table import Context, ToolFailure, ToolTable, text_result
from tests.upstreams.sdk_tasks import Task, TaskBoard, declares_tasks, require_tasks
from tests.upstreams.sdk_tools import is_modern

Answer = CallToolResult | InputRequiredResult | dict[str, Any]
CONFIRM = content.form({"confirm": {"type": "boolean"}})


def add_task_tools(tools: ToolTable, board: TaskBoard) -> None:
    """Working, failing and crashing tasks."""
    greeting = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    length = {"type": "object", "properties": {"seconds": {"type": "number"}, "label": {"type": "string"}}}

    @tools.add("greet", "Greets, at once and never as a task", greeting)
    async def greet(ctx: Context, params: CallToolRequestParams) -> Answer:
        return text_result(f"Hello, {(params.arguments or {})['name']}!")

    @tools.add("slow_compute", "Sleeps, as a task if it may be one", length)
    async def slow_compute(ctx: Context, params: CallToolRequestParams) -> Answer:
        arguments = params.arguments or {}

        async def work(task: Task | None) -> CallToolResult:
            await asyncio.sleep(float(arguments.get("seconds", 0)))
            return text_result(f"computed {arguments.get('label', 'nothing')}")

        return board.start(work) if is_modern(ctx) and declares_tasks(ctx) else await work(None)

    @tools.add("failing_job", "Fails after a second; only as a task")
    async def failing_job(ctx: Context, params: CallToolRequestParams) -> Answer:
        require_tasks(ctx)

        async def work(task: Task) -> CallToolResult:
            await asyncio.sleep(1)
            raise ToolFailure("This job fails always")

        return board.start(work)

    @tools.add("protocol_error_job", "Crashes; only as a task")
    async def protocol_error_job(ctx: Context, params: CallToolRequestParams) -> Answer:
        require_tasks(ctx)

        async def work(task: Task) -> CallToolResult:
            raise RuntimeError("This job crashes always")

        return board.start(work)


def add_asking_task_tools(tools: ToolTable, board: TaskBoard) -> None:
    """Tasks that ask their caller while they run, or before they begin."""
    file = {"type": "object", "properties": {"filename": {"type": "string"}}, "required": ["filename"]}

    @tools.add("confirm_delete", "Asks before it pretends to delete; only as a task", file)
    async def confirm_delete(ctx: Context, params: CallToolRequestParams) -> Answer:
        require_tasks(ctx)
        name = (params.arguments or {})["filename"]

        async def work(task: Task) -> CallToolResult:
            answer = await task.ask("confirm", f"Delete {name}?", CONFIRM)
            sure = answer.get("action") == "accept" and (answer.get("content") or {}).get("confirm")
            return text_result(f"{name} {'deleted' if sure else 'kept'}")

        return board.start(work)

    @tools.add("multi_input", "Asks two questions at once; only as a task")
    async def multi_input(ctx: Context, params: CallToolRequestParams) -> Answer:
        require_tasks(ctx)

        async def work(task: Task) -> CallToolResult:
            first = task.ask("first", "First name?", NAME_FORM)
            second = task.ask("second", "Second name?", NAME_FORM)
            answers = await asyncio.gather(first, second)
            return text_result(" and ".join(str((answer.get("content") or {}).get("name")) for answer in answers))

        return board.start(work)

    @tools.add("test_tool_with_task", "Asks for a name first, then greets as a task")
    async def with_task(ctx: Context, params: CallToolRequestParams) -> Answer:
        require_tasks(ctx)
        answer = (params.input_responses or {}).get("user_name")
        if answer is None:
            question = elicitation("What is your name?", NAME_FORM)
            return InputRequiredResult(input_requests={"user_name": question}, request_state="asked")
        name = form_value(answer, "name")

        async def work(task: Task) -> CallToolResult:
            return text_result(f"Hello, {name}!")

        return board.start(work)
