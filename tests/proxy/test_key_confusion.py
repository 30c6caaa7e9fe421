"""Key confusion (cases K1 to K6): no message reaches an upstream that another parser would read differently."""

from __future__ import annotations

import json

import pytest

from tests.proxy.plane import META, MODERN, Caller, expect_refused, tool_call

LONG_S, KELVIN = "\u017f", "\u212a"
CALL = '"jsonrpc":"2.0","id":1,"method":"tools/call"'
PARAMS = '"params":{"name":"echo","arguments":{"message":"x"}}'
DENIED = '"params":{"name":"add","arguments":{"a":1,"b":2}}'


def _refused(caller: Caller, namespace: str, body: str, *reasons: str) -> None:
    caller.forget("sdk")
    answer = caller.post(namespace, body.encode())
    expect_refused(answer, [400], [-32600, -32700])
    assert answer.reason in reasons
    assert caller.names_called("sdk") == [], "a call reached the upstream"


@pytest.mark.parametrize("namespace", ["open", "listed", "denied"])
@pytest.mark.parametrize(
    "body",
    [
        f'{{{CALL},"method":"tools/list",{PARAMS}}}',
        f'{{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call",{DENIED}}}',
        f'{{{CALL},"id":2,{PARAMS}}}',
        f"{{{CALL},{PARAMS},{DENIED}}}",
        f"{{{CALL},{DENIED},{PARAMS}}}",
        f'{{{CALL},"params":{{"name":"echo","name":"add","arguments":{{}}}}}}',
        f'{{{CALL},"params":{{"name":"add","name":"echo","arguments":{{}}}}}}',
        f'{{{CALL},"jsonrpc":"2.0",{PARAMS}}}',
        f'{{{CALL},"params":{{"name":"echo","arguments":{{}},"_meta":{{"progressToken":1,"progressToken":2}}}}}}',
    ],
)
def test_k1_a_key_twice(caller: Caller, namespace: str, body: str) -> None:
    _refused(caller, namespace, body, "key_duplicate")


@pytest.mark.parametrize("arguments", ['{"a":1,"a":2}', '{"a":{"b":1,"c":2,"b":3}}', '{"a":[{"b":1,"b":1}]}'])
def test_k2_a_key_twice_inside_arguments(caller: Caller, arguments: str) -> None:
    _refused(caller, "open", f'{{{CALL},"params":{{"name":"echo","arguments":{arguments}}}}}', "key_duplicate")


@pytest.mark.parametrize("namespace", ["open", "listed"])
@pytest.mark.parametrize(
    "body",
    [
        f'{{{CALL},"Method":"tools/list",{PARAMS}}}',
        f'{{{CALL},"METHOD":"tools/list",{PARAMS}}}',
        f'{{{CALL},"Params":{{"name":"add"}},{PARAMS}}}',
        f'{{{CALL},"param{LONG_S}":{{"name":"add"}},{PARAMS}}}',
        f'{{{CALL},"Id":2,{PARAMS}}}',
        f'{{"JSONRPC":"2.0",{CALL},{PARAMS}}}',
        f'{{{CALL},"params":{{"name":"echo","Name":"add","arguments":{{}}}}}}',
        f'{{{CALL},"params":{{"Name":"add","name":"echo","arguments":{{}}}}}}',
        f'{{{CALL},"params":{{"name":"echo","NAME":"add","arguments":{{}}}}}}',
        f'{{{CALL},"params":{{"name":"echo","Arguments":{{}},"arguments":{{}}}}}}',
        f'{{{CALL},"params":{{"name":"echo","argument{LONG_S}":{{}}}}}}',
        f'{{{CALL},"params":{{"name":"echo","arguments":{{}},"_meta":{{"progressTo{KELVIN}en":1}}}}}}',
        f'{{{CALL},"params":{{"name":"echo","arguments":{{}},"_META":{{}}}}}}',
        f'{{{CALL},"params":{{"name":"echo","arguments":{{}},"_meta":{{"{META}ProtocolVersion":"{MODERN}"}}}}}}',
    ],
)
def test_k3_a_key_that_differs_in_its_letters_case(caller: Caller, namespace: str, body: str) -> None:
    _refused(caller, namespace, body, "key_variant")


@pytest.mark.parametrize(
    "body",
    [
        f'{{{CALL},"\\u006dethod":"tools/list",{PARAMS}}}',
        f'{{{CALL},"params":{{"name":"echo","\\u006eame":"add","arguments":{{}}}}}}',
        f'{{{CALL},"params":{{"name":"echo","\\u004eame":"add","arguments":{{}}}}}}',
    ],
)
def test_k4_a_key_twice_by_an_escape(caller: Caller, body: str) -> None:
    _refused(caller, "listed", body, "key_duplicate", "key_variant")


def test_k5_keys_that_mean_something_elsewhere_are_inert(caller: Caller) -> None:
    arguments = {
        "message": "x",
        "__proto__": {"admin": True},
        "constructor": 1,
        "$ne": 1,
        "__class__": "x",
        "Name": "add",
    }
    answer = caller.post("open", tool_call("echo", arguments))
    assert answer.status == 200 and answer.message["result"]["structuredContent"] == arguments


@pytest.mark.parametrize(
    "extra", ['"result":{}', '"error":{"code":1,"message":"x"}', '"extra":1', '"__proto__":{}', '"":1']
)
def test_k6_members_that_json_rpc_does_not_know(caller: Caller, extra: str) -> None:
    _refused(caller, "open", f"{{{CALL},{extra},{PARAMS}}}", "message_invalid")


@pytest.mark.parametrize("spacing", ["", " ", "\n\t "])
def test_an_accepted_message_goes_on_byte_for_byte(caller: Caller, spacing: str) -> None:
    params = f'{{"arguments":{{"message":"\\u00e9\\/\\n", "n": 1.50}},{spacing}"name":"ech\\u006f"}}'
    body = f'{{{spacing}"id" : 1,"params":{params},{spacing}"method":"tools/call","jsonrpc":"2.0"}}'
    session = caller.initialize("open")
    caller.forget("sdk")
    assert caller.post("open", body.encode(), session.headers).text == "é/\n"
    assert [seen["body"] for seen in caller.seen("sdk")["requests"]] == [body]


def test_an_escaped_name_is_decided_on_as_what_it_says(caller: Caller) -> None:
    caller.forget("sdk")
    body = f'{{{CALL},"params":{{"name":"\\u0061dd","arguments":{{"a":1,"b":2}}}}}}'
    answer = caller.post("listed", body.encode())
    assert answer.code == -32602 and caller.names_called("sdk") == []
    assert json.loads(body)["params"]["name"] == "add"
