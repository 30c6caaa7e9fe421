"""Which part answers a request: /mcp, health and the live view here, everything else by Django's process of its own.

Without `serve`, which starts that process and names its socket, Django answers here.
"""

from __future__ import annotations

import logging
import os
from typing import cast

import django
from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings")
django.setup()

from django.core.handlers.asgi import ASGIHandler  # noqa: E402

from analytics.live_consumer import LiveConsumer  # noqa: E402
from gateway_project import metrics_endpoint  # noqa: E402
from gateway_project.body_limit import BodyLimit  # noqa: E402
from gateway_project.live_door import LiveDoor  # noqa: E402
from gateway_project.pages_relay import PagesRelay  # noqa: E402
from gateway_project.path_router import PathRouter  # noqa: E402
from gateway_project.wrong_keys import WrongKeys  # noqa: E402
from proxy import health  # noqa: E402
from proxy.app import application as mcp  # noqa: E402
from proxy.runtime import runtime  # noqa: E402

logger = logging.getLogger("gateway.asgi")


async def _lifespan(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Start the data plane before the first request and stop it after the last.

    A server without lifespan (Daphne) starts it with its first request instead.
    """
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await runtime.start()
            except Exception:
                logger.exception("the data plane did not start")
                await send({"type": "lifespan.startup.failed", "message": "the data plane did not start"})
                return
            await send({"type": "lifespan.startup.complete"})
        else:
            await runtime.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


def _pages() -> ASGI3Application:
    socket_path = os.environ.get("GATEWAY_PAGES_SOCKET")
    pages = PagesRelay(socket_path) if socket_path else ASGIHandler()
    return BodyLimit(WrongKeys(pages, runtime), settings.MAX_REQUEST_BYTES)  # type: ignore[arg-type]


def _routes() -> ASGI3Application:
    # The patterns see the decoded path; the data plane looks at the raw one and refuses what is not plain.
    router = ProtocolTypeRouter(
        {
            "http": PathRouter(
                [
                    re_path(r"(?s)\Amcp(?:/.*)?\Z", mcp),  # type: ignore[arg-type]
                    re_path(r"\A(?:health|live|ready|readyz)\Z", health.application),  # type: ignore[arg-type]
                    re_path(r"\Ametrics\Z", metrics_endpoint.application),  # type: ignore[arg-type]
                    re_path(r"", _pages()),  # type: ignore[arg-type]
                ]
            ),
            "websocket": LiveDoor(LiveConsumer.as_asgi(), runtime),  # its one route is /ws/live
            "lifespan": _lifespan,
        }
    )
    if not settings.TRUSTED_PROXIES:
        return cast(ASGI3Application, router)
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    return ProxyHeadersMiddleware(router, trusted_hosts=settings.TRUSTED_PROXIES)  # type: ignore[return-value]


application = _routes()
