"""Prompts, resources, subscriptions and completions of the SDK upstream."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    BlobResourceContents,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    EmptyResult,
    GetPromptRequestParams,
    GetPromptResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    PromptMessage,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    SubscribeRequestParams,
    TextResourceContents,
    UnsubscribeRequestParams,
)

from tests.upstreams import sdk_content as content
from tests.upstreams.sdk_table import Context, PromptTable

TEMPLATE = re.compile(r"test://template/([^/]+)/data")
CITIES = ["paris", "park city", "parma", "pisa", "prague"]


def _say(*blocks: Any) -> GetPromptResult:
    return GetPromptResult(messages=[PromptMessage(role="user", content=block) for block in blocks])


def add_prompts(prompts: PromptTable) -> None:
    """The prompts that the scenarios ask for."""

    @prompts.add("test_simple_prompt", "A prompt without arguments")
    async def simple(ctx: Context, params: GetPromptRequestParams) -> GetPromptResult:
        return _say(content.text("This is a simple prompt for testing."))

    @prompts.add("test_prompt_with_arguments", "A prompt with two arguments", "arg1", "arg2")
    async def arguments(ctx: Context, params: GetPromptRequestParams) -> GetPromptResult:
        given = params.arguments or {}
        return _say(content.text(f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'"))

    @prompts.add("test_prompt_with_embedded_resource", "A prompt that embeds a resource", "resourceUri")
    async def embedded(ctx: Context, params: GetPromptRequestParams) -> GetPromptResult:
        uri = (params.arguments or {})["resourceUri"]
        return _say(
            content.embedded(uri, "text/plain", "Embedded resource content for testing."),
            content.text("Please process the embedded resource above."),
        )

    @prompts.add("test_prompt_with_image", "A prompt with an image")
    async def image(ctx: Context, params: GetPromptRequestParams) -> GetPromptResult:
        return _say(content.image(), content.text("Please analyze the image above."))


async def list_resources(ctx: Context, params: PaginatedRequestParams | None) -> ListResourcesResult:
    """The three fixed resources."""
    return ListResourcesResult(
        resources=[
            Resource(uri="test://static-text", name="static-text", description="A text", mime_type="text/plain"),
            Resource(uri="test://static-binary", name="static-binary", description="A PNG", mime_type="image/png"),
            Resource(
                uri="test://watched-resource", name="watched", description="Can be watched", mime_type="text/plain"
            ),
        ]
    )


async def list_templates(ctx: Context, params: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
    """The one template."""
    template = ResourceTemplate(
        uri_template="test://template/{id}/data",
        name="template",
        description="Data by id",
        mime_type="application/json",
    )
    return ListResourceTemplatesResult(resource_templates=[template])


async def read_resource(ctx: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
    """One resource by its URI.

    Raises:
        MCPError: -32602 with the URI for any other (SEP-2164).
    """
    uri = str(params.uri)
    if uri == "test://static-binary":
        blob = base64.b64encode(content.PNG).decode()
        return ReadResourceResult(contents=[BlobResourceContents(uri=uri, mime_type="image/png", blob=blob)])
    texts = {
        "test://static-text": "This is the content of the static text resource.",
        "test://watched-resource": "Watched resource content",
    }
    if match := TEMPLATE.fullmatch(uri):
        found = {"id": match[1], "templateTest": True, "data": f"Data for ID: {match[1]}"}
        return ReadResourceResult(
            contents=[TextResourceContents(uri=uri, mime_type="application/json", text=json.dumps(found))]
        )
    if uri not in texts:
        raise MCPError(INVALID_PARAMS, "Resource not found", {"uri": uri})
    return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type="text/plain", text=texts[uri])])


async def subscribe(ctx: Context, params: SubscribeRequestParams) -> EmptyResult:
    """Accept a legacy subscription and announce one update at once, on the GET stream."""
    await ctx.session.send_resource_updated(params.uri)
    return EmptyResult()


async def unsubscribe(ctx: Context, params: UnsubscribeRequestParams) -> EmptyResult:
    """Accept the end of a legacy subscription."""
    return EmptyResult()


async def complete(ctx: Context, params: CompleteRequestParams) -> CompleteResult:
    """City names that begin with what was typed."""
    values = [city for city in CITIES if city.startswith(params.argument.value.lower())]
    return CompleteResult(completion=Completion(values=values, total=len(values), has_more=False))
