"""Django as a process of its own: admin, dashboards and REST, so that the making of a page never holds a call up."""

from __future__ import annotations

import os
from typing import cast

import django
from asgiref.typing import ASGI3Application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.urls import get_resolver  # noqa: E402
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware  # noqa: E402

from analytics.metrics import cells  # noqa: E402

cells.tell_of(settings.RUN_DIR / "metrics")  # where the workers count
get_resolver().url_patterns  # noqa: B018 - the first page need not wait until all views are imported

# Only workers can reach the socket, and they say who their client is (pages_relay.py).
application = cast(ASGI3Application, ProxyHeadersMiddleware(ASGIHandler(), trusted_hosts="*"))  # type: ignore[arg-type]
