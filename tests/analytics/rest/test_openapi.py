"""The API's description: it builds without a warning, says what is so, and is public and offline (C.5)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from analytics.rest import openapi
from keys.models import ApiKey
from tests.analytics.rest.walk import CALL_ID, PATHS, TABLES
from tests.analytics.rows import log_row

EXAMPLES = {"{user_id}": "alice", "{id}": CALL_ID}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return json.loads(openapi.document())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield an example path and the GET operation of each path."""
    for path, methods in document["paths"].items():
        assert set(methods) == {"get"}
        name = next((name for name in EXAMPLES if name in path), "")
        yield path.replace(name, EXAMPLES.get(name, "")) if name else path, methods["get"]


def strict(part: Any, document: dict[str, Any]) -> Any:
    """Return a schema as JSON Schema has it, references resolved, that allows no property which is not described."""
    if isinstance(part, list):
        return [strict(item, document) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return strict(document["components"]["schemas"][part["$ref"].rsplit("/", 1)[1]], document)
    found = {name: strict(value, document) for name, value in part.items() if name != "nullable"}
    if isinstance(found.get("properties"), dict) and found.get("type") == "object":
        found["additionalProperties"] = False
    return {"anyOf": [found, {"type": "null"}]} if part.get("nullable") else found


def test_it_builds_without_a_warning_and_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    GENERATOR_STATS.reset()
    schema = SchemaGenerator().get_schema(request=None, public=True)
    assert not GENERATOR_STATS._warn_cache and not GENERATOR_STATS._error_cache
    assert "Warning" not in capsys.readouterr().err
    validate_schema(schema)


def test_every_endpoint_is_described(document: dict[str, Any]) -> None:
    described = dict(operations(document))
    assert set(described) == {*PATHS, "/namespaces"}
    for path, operation in described.items():
        assert operation["summary"] and len(operation["description"]) > 20 and operation["tags"], path
        for parameter in operation.get("parameters", []):
            assert parameter.get("description") or parameter["in"] == "path", (path, parameter["name"])
        codes = set(operation["responses"])
        assert codes >= {"200", "401", "403", "429", "503"} | ({"400", "406"} if path in PATHS else set())
        answer = operation["responses"]["200"]["content"]
        assert ("text/csv" in answer) == (path in TABLES)
        assert operation["security"] == [{"bearer": []}, {"apiKeyHeader": []}, {"session": []}]
    schemes = document["components"]["securitySchemes"]
    assert {scheme["type"] for scheme in schemes.values()} == {"http", "apiKey"}
    assert schemes["session"]["name"] == "gateway_session"


@pytest.mark.django_db
def test_every_documented_path_answers_as_documented(document: dict[str, Any], staff: Client) -> None:
    ApiKey.objects.create(pk=3, user_id="alice")
    log_row(id=CALL_ID, key_id=3, upstream_us=10, first_byte_us=5)
    log_row(key_id=3, outcome="timeout", reason="first_byte_timeout")
    log_row(key_id=4, tool=None, method="tools/list", upstream=None)
    for path, operation in operations(document):
        for detail in [{}, {"detail": "true"}, {"group_by": "tool"}]:
            known = {parameter["name"] for parameter in operation.get("parameters", [])}
            answer = staff.get(path, detail if set(detail) <= known else {})
            assert answer.status_code == 200, (path, answer.content)
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            jsonschema.validate(answer.json(), strict(schema, document))


@pytest.mark.django_db
def test_every_error_is_as_documented(document: dict[str, Any], staff: Client) -> None:
    for path, operation in operations(document):
        cases = {"401": Client().get(path)}
        if path in PATHS:
            cases |= {"400": staff.get(path, {"nothing": "1"}), "406": staff.get(path, headers={"Accept": "image/png"})}
        for status, answer in cases.items():
            assert str(answer.status_code) == status
            documented = operation["responses"][status]["content"]["application/json"]
            jsonschema.validate(answer.json(), strict(documented["schema"], document))
            for example in documented["examples"].values():
                jsonschema.validate(example["value"], strict(documented["schema"], document))


@pytest.mark.django_db
def test_the_examples_of_answers_are_true_to_their_schema(document: dict[str, Any]) -> None:
    shown = 0
    for _, operation in operations(document):
        content = operation["responses"]["200"]["content"]["application/json"]
        for example in content.get("examples", {}).values():
            jsonschema.validate(example["value"], strict(content["schema"], document))
            shown += 1
    assert shown >= 6


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/openapi.json", "application/json"),
        ("/docs", "text/html; charset=utf-8"),
        ("/redoc", "text/html; charset=utf-8"),
        ("/redoc.js", "text/javascript; charset=utf-8"),
    ],
)
def test_anybody_may_read_it_without_the_database(path: str, content_type: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 200 and answer["Content-Type"] == content_type
    assert Client().post(path).status_code == 405


def test_who_has_the_description_already_is_told_so() -> None:
    first = Client().get("/openapi.json")
    assert first["Cache-Control"] == "public, max-age=300"
    again = Client().get("/openapi.json", headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304 and again.content == b""


def test_the_pages_hold_nothing_inline_and_ask_nobody_else() -> None:
    for path in ("/docs", "/redoc"):
        answer = Client().get(path)
        text = answer.content.decode()
        assert "style=" not in text and "<style" not in text and "<script>" not in text and "//" not in text
        policy = answer["Content-Security-Policy"]
        assert "unsafe" not in policy and "http" not in policy
    assert openapi.REDOC_LOGO.encode() not in openapi.redoc_script()
    assert "sha256" not in Client().get("/docs")["Content-Security-Policy"], "only /redoc gets what it alone needs"


def test_redocs_script_is_the_sidecars_but_for_one_address() -> None:
    from django.contrib.staticfiles import finders

    path = finders.find("drf_spectacular_sidecar/redoc/bundles/redoc.standalone.js")
    with open(str(path), encoding="utf-8") as file:
        original = file.read()
    assert original.count(openapi.REDOC_LOGO) == 1
    assert len(openapi.redoc_script()) > 500_000
