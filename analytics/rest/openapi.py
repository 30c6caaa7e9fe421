"""The API's description, public and offline: `/openapi.json`, Swagger UI at `/docs`, ReDoc at `/redoc` (C.5).

The pages load only files of ours. They are the sidecar's, so nothing here is inline; where one of them writes styles
as it runs, its own page alone allows what it needs.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache

from csp.constants import NONCE
from csp.decorators import csp_update
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.templatetags.static import static
from django.utils.cache import get_conditional_response
from django.utils.decorators import method_decorator
from django.views import View
from drf_spectacular.generators import SchemaGenerator

_SIDECAR = "drf_spectacular_sidecar"
_REDOC = f"{_SIDECAR}/redoc/bundles/redoc.standalone.js"
# The one address outside that ReDoc's script knows: the mark beside its name. Ours stands there instead.
REDOC_LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg"
# A new release may differ; in between nobody need ask again.
_CACHED = "public, max-age=300"


@cache
def document() -> bytes:
    """Return the OpenAPI document of the REST API. Working it out takes a moment, once a process."""
    return json.dumps(SchemaGenerator().get_schema(request=None, public=True), ensure_ascii=False).encode()


@cache
def redoc_script() -> bytes:
    """Return ReDoc's script without the address outside. Raises FileNotFoundError when the sidecar is not installed."""
    path = finders.find(_REDOC)
    if not isinstance(path, str):
        raise FileNotFoundError(_REDOC)
    with open(path, encoding="utf-8") as file:
        return file.read().replace(REDOC_LOGO, static("gateway/icon.svg")).encode()


def _cached(request: HttpRequest, body: bytes, content_type: str) -> HttpResponseBase:
    """Return a body that is the same for everybody, or a 304 for who has it."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    response = HttpResponse(body, content_type=content_type, headers={"ETag": etag, "Cache-Control": _CACHED})
    return get_conditional_response(request, etag=etag, response=response) or response


class _Public(View):
    """A page that anybody may read and nobody may change."""

    http_method_names = ["get", "head"]


class DocumentView(_Public):
    """`GET /openapi.json`."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """Return the document."""
        return _cached(request, document(), "application/json")


class RedocScriptView(_Public):
    """`GET /redoc.js`: what /redoc loads."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """Return the script."""
        return _cached(request, redoc_script(), "text/javascript; charset=utf-8")


class SwaggerView(_Public):
    """`GET /docs`: Swagger UI."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return the page."""
        return render(request, "analytics/swagger.html", {"files": f"{_SIDECAR}/swagger-ui-dist"})


# ReDoc makes its style sheets as it runs: most under the nonce that the page tells it, two by libraries of its own
# that know none (an empty one, and its scroll bars'). It searches in a worker that it makes of a blob.
_REDOC_STYLES = [
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
    "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='",
]


@method_decorator(csp_update({"style-src": ["'self'", NONCE, *_REDOC_STYLES], "worker-src": ["blob:"]}), "dispatch")
class RedocView(_Public):
    """`GET /redoc`: ReDoc."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return the page."""
        return render(request, "analytics/redoc.html")
