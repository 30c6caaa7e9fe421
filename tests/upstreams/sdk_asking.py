"""Tools and prompts that ask the client back: requests on the stream (legacy), `input_required` results (modern)."""

from __future__ import annotations

import json
from typing import Any

from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    GetPromptRequestParams,
    GetPromptResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    PromptMessage,
    SamplingMessage,
)

from tests.upstreams import sdk_content as content
from tests.upstreams.sdk_table import Context, PromptTable, ToolFailure, ToolTable, text_result
from tests.upstreams.sdk_tools import is_modern

Answer = CallToolResult | InputRequiredResult
NAME_FORM = content.form({"name": {"type": "string"}})
CONFIRM_FORM = content.form({"ok": {"type": "boolean"}})


def elicitation(message: str, schema: dict[str, Any]) -> ElicitRequest:
    """A form for the user, as an input request."""
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sampling(question: str, max_tokens: int) -> CreateMessageRequest:
    """A question for the client's model, as an input request."""
    message = SamplingMessage(role="user", content=content.text(question))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=max_tokens))


def form_value(answer: Any, key: str) -> str:
    """One field of an accepted form.

    Raises:
        ToolFailure: the form was declined, cancelled or never answered.
    """
    if isinstance(answer, ElicitResult) and answer.action == "accept":
        return str((answer.content or {}).get(key, ""))
    raise ToolFailure(f"the form was not accepted: {getattr(answer, 'action', 'no answer')}")


async def _elicit(ctx: Context, message: str, schema: dict[str, Any]) -> ElicitResult:
    if not ctx.session.can_send_request:
        raise ToolFailure("elicitation needs a session; this server answers without one")
    return await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)


def add_legacy_asking_tools(tools: ToolTable) -> None:
    """Sampling, elicitation and roots; in the modern era elicitation asks by an `input_required` result."""

    prompt = {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]}
    message = {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}
    user_form = content.form({"username": {"type": "string"}, "email": {"type": "string"}})

    @tools.add("test_sampling", "Asks the client's model", prompt)
    async def sample(ctx: Context, params: CallToolRequestParams) -> Answer:
        question = (params.arguments or {})["prompt"]
        if not ctx.session.can_send_request:
            raise ToolFailure("sampling needs a session; this server answers without one")
        result = await ctx.session.create_message(
            [SamplingMessage(role="user", content=content.text(question))],
            max_tokens=100,
            related_request_id=ctx.request_id,
        )
        return text_result(f"LLM response: {getattr(result.content, 'text', '')}")

    @tools.add("test_elicitation", "Asks the user for a name and an address", message)
    async def elicit(ctx: Context, params: CallToolRequestParams) -> Answer:
        question = (params.arguments or {})["message"]
        if is_modern(ctx):
            answer = (params.input_responses or {}).get("user")
            if answer is None:
                return InputRequiredResult(input_requests={"user": elicitation(question, user_form)})
        else:
            answer = await _elicit(ctx, question, user_form)
        if not isinstance(answer, ElicitResult):
            raise ToolFailure("the answer to an elicitation is no elicitation result")
        return text_result(f"User response: action={answer.action}, content={json.dumps(answer.content)}")

    @tools.add("test_elicitation_sep1034_defaults", "Asks for a form with default values")
    async def defaults(ctx: Context, params: CallToolRequestParams) -> Answer:
        answer = await _elicit(ctx, "Please review and update the form fields", content.DEFAULTS_FORM)
        return text_result(f"Elicitation completed: action={answer.action}, content={json.dumps(answer.content)}")

    @tools.add("test_elicitation_sep1330_enums", "Asks for a form with every kind of enum")
    async def enums(ctx: Context, params: CallToolRequestParams) -> Answer:
        answer = await _elicit(ctx, "Please select values", content.ENUMS_FORM)
        return text_result(f"Elicitation completed: action={answer.action}, content={json.dumps(answer.content)}")

    @tools.add("list_roots", "Asks the client for its roots")
    async def roots(ctx: Context, params: CallToolRequestParams) -> Answer:
        if not ctx.session.can_send_request:
            raise ToolFailure("roots need a session; this server answers without one")
        result = await ctx.session.list_roots()
        return text_result(", ".join(str(root.uri) for root in result.roots))


def add_input_required_tools(tools: ToolTable) -> None:
    """SEP-2322: one round, with each kind of request."""

    async def greet(ctx: Context, params: CallToolRequestParams) -> Answer:
        answer = (params.input_responses or {}).get("user_name")
        if answer is None:
            return InputRequiredResult(input_requests={"user_name": elicitation("What is your name?", NAME_FORM)})
        return text_result(f"Hello, {form_value(answer, 'name')}!")

    tools.add("test_input_required_result_elicitation", "Asks for a name")(greet)
    tools.add("test_streaming_elicitation", "Asks for a name; its stream holds no request of its own")(greet)

    @tools.add("test_input_required_result_sampling", "Asks the client's model one question")
    async def capital(ctx: Context, params: CallToolRequestParams) -> Answer:
        answer = (params.input_responses or {}).get("capital_question")
        if not isinstance(answer, CreateMessageResult):
            question = sampling("What is the capital of France?", 100)
            return InputRequiredResult(input_requests={"capital_question": question})
        return text_result(f"The model said: {getattr(answer.content, 'text', '')}")

    @tools.add("test_input_required_result_list_roots", "Asks for the client's roots")
    async def roots(ctx: Context, params: CallToolRequestParams) -> Answer:
        answer = (params.input_responses or {}).get("client_roots")
        if not isinstance(answer, ListRootsResult):
            return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})
        return text_result(f"{len(answer.roots)} roots")

    @tools.add("test_input_required_result_multiple_inputs", "Asks for three things at once")
    async def several(ctx: Context, params: CallToolRequestParams) -> Answer:
        wanted: dict[str, InputRequest] = {
            "user_name": elicitation("What is your name?", NAME_FORM),
            "greeting": sampling("Generate a greeting", 50),
            "client_roots": ListRootsRequest(),
        }
        if wanted.keys() <= (params.input_responses or {}).keys():
            return text_result("All three answers arrived")
        return InputRequiredResult(input_requests=wanted, request_state="three-questions")

    @tools.add("test_input_required_result_capabilities", "Asks only for what the client declared")
    async def declared(ctx: Context, params: CallToolRequestParams) -> Answer:
        capabilities = ctx.session.client_capabilities
        wanted: dict[str, InputRequest] = {}
        if capabilities is not None and capabilities.sampling is not None:
            wanted["model"] = sampling("Say hello", 50)
        if capabilities is not None and capabilities.elicitation is not None:
            wanted["user_name"] = elicitation("What is your name?", NAME_FORM)
        return InputRequiredResult(input_requests=wanted, request_state="declared-only")


def add_request_state_tools(tools: ToolTable) -> None:
    """SEP-2322: state that travels through the client."""

    def confirm(state: str) -> InputRequiredResult:
        return InputRequiredResult(
            input_requests={"confirm": elicitation("Please confirm", CONFIRM_FORM)}, request_state=state
        )

    @tools.add("test_input_required_result_request_state", "Wants its state back with the answer")
    async def state(ctx: Context, params: CallToolRequestParams) -> Answer:
        if params.request_state == "asked-once" and "confirm" in (params.input_responses or {}):
            return text_result("state-ok")
        return confirm("asked-once")

    @tools.add("test_input_required_result_tampered_state", "Refuses state that it did not make")
    async def tampered(ctx: Context, params: CallToolRequestParams) -> Answer:
        return confirm("sealed") if params.request_state is None else text_result("state-ok")

    @tools.add("test_input_required_result_multi_round", "Asks twice, one question after the other")
    async def rounds(ctx: Context, params: CallToolRequestParams) -> Answer:
        answers = params.input_responses or {}
        known = json.loads(params.request_state) if params.request_state else {}
        if known.get("asked") == "step2" and "step2" in answers:
            return text_result(f"{known['name']} likes {form_value(answers['step2'], 'color')}")
        if known.get("asked") == "step1" and "step1" in answers:
            asked = {"asked": "step2", "name": form_value(answers["step1"], "name")}
            question = elicitation("Step 2: What is your favorite color?", content.form({"color": {"type": "string"}}))
            return InputRequiredResult(input_requests={"step2": question}, request_state=json.dumps(asked))
        question = elicitation("Step 1: What is your name?", NAME_FORM)
        return InputRequiredResult(input_requests={"step1": question}, request_state='{"asked": "step1"}')


def add_asking_prompt(prompts: PromptTable) -> None:
    """SEP-2322 on prompts/get."""

    @prompts.add("test_input_required_result_prompt", "A prompt that asks for its context first")
    async def with_context(ctx: Context, params: GetPromptRequestParams) -> GetPromptResult | InputRequiredResult:
        answer = (params.input_responses or {}).get("user_context")
        if not isinstance(answer, ElicitResult):
            question = elicitation("What context should the prompt use?", content.form({"context": {"type": "string"}}))
            return InputRequiredResult(input_requests={"user_context": question})
        wanted = (answer.content or {}).get("context", "")
        return GetPromptResult(messages=[PromptMessage(role="user", content=content.text(f"Context: {wanted}"))])
