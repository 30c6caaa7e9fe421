"""The tasks extension (SEP-2663) of the SDK upstream: calls that outlive their answer, asked after with tasks/get."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import decode_header_value
from mcp.types import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    RequestParams,
)
from pydantic import Field

from tests.upstreams.sdk_table import Context, ToolFailure, text_result

EXTENSION = "io.modelcontextprotocol/tasks"
TTL_MS = 300_000
POLL_MS = 100


class TaskParams(RequestParams):
    """Parameters of tasks/get, tasks/update and tasks/cancel."""

    task_id: str = Field(alias="taskId")
    input_responses: dict[str, Any] = Field(alias="inputResponses", default_factory=dict)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Task:
    """One call that goes on behind its answer."""

    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    status: str = "working"
    created_at: str = field(default_factory=_now)
    updated_at: str = field(default_factory=_now)
    outcome: dict[str, Any] = field(default_factory=dict)  # `result` or `error` once terminal
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)  # input requests without an answer
    answers: dict[str, asyncio.Future[Any]] = field(default_factory=dict)
    worker: asyncio.Task[None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether its status will not change any more."""
        return self.status in ("completed", "failed", "cancelled")

    def move(self, status: str, **outcome: Any) -> None:
        """Take a new status unless it is over."""
        if not self.is_over:
            self.status, self.updated_at, self.outcome = status, _now(), outcome

    async def ask(self, key: str, message: str, schema: dict[str, Any]) -> dict[str, Any]:
        """Wait for the user's answer to a form, given by tasks/update."""
        params = {"mode": "form", "message": message, "requestedSchema": schema}
        self.asked[key] = {"method": "elicitation/create", "params": params}
        self.answers[key] = asyncio.get_running_loop().create_future()
        self.move("input_required")
        answer: dict[str, Any] = await self.answers[key]
        return answer

    def give(self, answers: dict[str, Any]) -> None:
        """Hand answers to who waits for them; unknown keys are ignored."""
        for key in answers.keys() & self.asked.keys():
            del self.asked[key]
            self.answers[key].set_result(answers[key])
        if self.status == "input_required" and not self.asked:
            self.move("working")

    def envelope(self, result_type: str) -> dict[str, Any]:
        """The task as a result: `task` when it is created, `complete` when it is asked after."""
        document = {
            "resultType": result_type,
            "taskId": self.id,
            "status": self.status,
            "createdAt": self.created_at,
            "lastUpdatedAt": self.updated_at,
            "ttlMs": TTL_MS,
            "pollIntervalMs": POLL_MS,
        }
        if result_type == "complete":
            document |= self.outcome | ({"inputRequests": self.asked} if self.asked else {})
        return document


Work = Callable[[Task], Awaitable[CallToolResult]]


def declares_tasks(ctx: Context) -> bool:
    """Whether the request declares the extension."""
    declared = ctx.session.client_capabilities
    return bool(declared and declared.extensions and EXTENSION in declared.extensions)


def require_tasks(ctx: Context) -> None:
    """Refuse a caller that cannot be given a task.

    Raises:
        MCPError: -32021 naming the extension (SEP-2663, required capabilities).
    """
    if not declares_tasks(ctx):
        data: dict[str, Any] = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, f"This needs the extension {EXTENSION}", data)


class TaskBoard:
    """Every task of one server."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}

    def start(self, work: Work) -> dict[str, Any]:
        """Begin a task and answer its envelope; tasks/get knows it from then on."""
        task = Task()
        self.tasks[task.id] = task
        task.worker = asyncio.get_running_loop().create_task(self._run(task, work))
        return task.envelope("task")

    async def _run(self, task: Task, work: Work) -> None:
        try:
            result = await work(task)
        except ToolFailure as failure:
            result = text_result(str(failure), is_error=True)
        except asyncio.CancelledError:
            task.move("cancelled")
            raise
        except Exception as problem:
            task.move("failed", error={"code": INTERNAL_ERROR, "message": str(problem)})
            return
        task.move("completed", result=result.model_dump(by_alias=True, mode="json", exclude_none=True))

    def _find(self, ctx: Context, params: TaskParams) -> Task:
        if ctx.method not in ("tasks/get", "tasks/update", "tasks/cancel"):
            raise MCPError(METHOD_NOT_FOUND, "Method not found", ctx.method)
        name = ctx.request.headers.get("mcp-name") if ctx.request is not None else None
        if name is None or decode_header_value(name) != params.task_id:
            raise MCPError(HEADER_MISMATCH, "mcp-name header does not match the request body's taskId")
        require_tasks(ctx)
        if params.task_id not in self.tasks:
            raise MCPError(INVALID_PARAMS, f"Unknown task: {params.task_id}")
        return self.tasks[params.task_id]

    async def get(self, ctx: Context, params: TaskParams) -> dict[str, Any]:
        """Serve tasks/get: the task with its result, error or open questions."""
        return self._find(ctx, params).envelope("complete")

    async def update(self, ctx: Context, params: TaskParams) -> dict[str, Any]:
        """Serve tasks/update: answers to open questions."""
        self._find(ctx, params).give(params.input_responses)
        return {"resultType": "complete"}

    async def cancel(self, ctx: Context, params: TaskParams) -> dict[str, Any]:
        """Serve tasks/cancel; of a task that is over it changes nothing."""
        task = self._find(ctx, params)
        if task.worker is not None and not task.is_over:
            task.move("cancelled")
            task.worker.cancel()
        return {"resultType": "complete"}

    def install(self, server: Server[Any]) -> None:
        """Register the methods and advertise the extension."""
        server.extensions[EXTENSION] = {}
        for method, handler in (("get", self.get), ("update", self.update), ("cancel", self.cancel)):
            server.add_request_handler(f"tasks/{method}", TaskParams, handler)
