"""MCP upstream on the official Python SDK: both protocol eras on /mcp, and every fixture of the conformance suite.

Run: `python -m tests.upstreams.sdk_server --port 0 [--stateless] [--legacy-only | --modern-only]`.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from typing import Any

from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.types import (
    EmptyResult,
    ListPromptsResult,
    ListToolsResult,
    PaginatedRequestParams,
    SetLevelRequestParams,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)
from starlette.types import ASGIApp

from tests.upstreams import sdk_asking, sdk_documents, sdk_task_tools, sdk_tools
from tests.upstreams.event_store import MemoryEventStore
from tests.upstreams.listening import serve_asgi
from tests.upstreams.sdk_era import OneEra
from tests.upstreams.sdk_table import Context, PromptTable, ToolTable
from tests.upstreams.sdk_tasks import TaskBoard
from tests.upstreams.seen import Seen, SeenMiddleware

NAME = "sdk-upstream"
RETRY_MS = 100  # reconnect hint in the priming event of a legacy stream


async def _set_level(ctx: Context, params: SetLevelRequestParams) -> EmptyResult:
    return EmptyResult()


class AnnouncingServer(Server[Any]):
    """Tells legacy clients that it announces changed lists, which the SDK says only when asked to."""

    def create_initialization_options(
        self, notification_options: NotificationOptions | None = None, *others: Any, **named: Any
    ) -> InitializationOptions:
        """The payload of the initialize result."""
        announced = notification_options or NotificationOptions(True, True, True)
        return super().create_initialization_options(announced, *others, **named)


def build_server() -> Server[Any]:
    """The server with all its tools, prompts and resources."""
    tools, prompts, bus, board = ToolTable(), PromptTable(), InMemorySubscriptionBus(), TaskBoard()
    sdk_tools.add_content_tools(tools)
    sdk_tools.add_everyday_tools(tools)
    sdk_tools.add_notifying_tools(tools)
    sdk_tools.add_change_tools(tools, bus)
    sdk_asking.add_legacy_asking_tools(tools)
    sdk_asking.add_input_required_tools(tools)
    sdk_asking.add_request_state_tools(tools)
    sdk_task_tools.add_task_tools(tools, board)
    sdk_task_tools.add_asking_task_tools(tools, board)
    sdk_documents.add_prompts(prompts)
    sdk_asking.add_asking_prompt(prompts)

    async def list_tools(ctx: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[fixture.tool for fixture in tools.fixtures.values()])

    async def list_prompts(ctx: Context, params: PaginatedRequestParams | None) -> ListPromptsResult:
        return ListPromptsResult(prompts=[prompt for prompt, _ in prompts.prompts.values()])

    server: Server[Any] = AnnouncingServer(
        NAME,
        version="1.0.0",
        instructions="An upstream for tests.",
        get_tool_input_schema=tools.schema,
        on_list_tools=list_tools,
        on_call_tool=tools.call,  # type: ignore[arg-type]  # a task is a dict, which the SDK passes on as it is
        on_list_prompts=list_prompts,
        on_get_prompt=prompts.get,
        on_list_resources=sdk_documents.list_resources,
        on_list_resource_templates=sdk_documents.list_templates,
        on_read_resource=sdk_documents.read_resource,
        on_completion=sdk_documents.complete,
        on_subscriptions_listen=ListenHandler(bus),
    )
    server.add_request_handler("logging/setLevel", SetLevelRequestParams, _set_level)
    server.add_request_handler("resources/subscribe", SubscribeRequestParams, sdk_documents.subscribe)
    server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, sdk_documents.unsubscribe)
    board.install(server)
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=NAME))
    return server


def build_app(*, stateless: bool = False, era: str = "both") -> ASGIApp:
    """The ASGI application; `era` is `both`, `legacy` or `modern`, `stateless` concerns the legacy era."""
    app: ASGIApp = build_server().streamable_http_app(
        stateless_http=stateless, event_store=MemoryEventStore(), retry_interval=RETRY_MS
    )
    if era != "both":
        app = OneEra(app, era)
    return SeenMiddleware(app, Seen())


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--stateless", action="store_true", help="keep no sessions in the legacy era")
    eras = parser.add_mutually_exclusive_group()
    eras.add_argument("--legacy-only", dest="era", action="store_const", const="legacy", default="both")
    eras.add_argument("--modern-only", dest="era", action="store_const", const="modern")
    options = parser.parse_args()
    logging.getLogger("mcp").setLevel(logging.ERROR)  # refusing what a test sends is no news
    warnings.simplefilter("ignore", MCPDeprecationWarning)  # sampling and logging are what we want to exercise
    serve_asgi(build_app(stateless=options.stateless, era=options.era), options.port, "/mcp")


if __name__ == "__main__":
    main()
