"""The wiring package as an application: commands, templates, static files, and the admin site."""

from __future__ import annotations

import os
from typing import Any

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.db.backends.signals import connection_created


class GatewayProjectConfig(AppConfig):
    """The wiring package itself."""

    name = "gateway_project"
    default = True

    def ready(self) -> None:
        """Where pages are made, let the database, too, serve calls first."""
        if os.environ.get("GATEWAY_PROCESS") == "pages":
            connection_created.connect(_stand_back, dispatch_uid="pages stand back")


class GatewayAdminConfig(admin_apps.SimpleAdminConfig):
    """Django's admin with our own site class, which looks for the apps' admin modules once it is used."""

    default_site = "gateway_project.admin.GatewayAdminSite"
    default = False


def _stand_back(connection: Any, **_: Any) -> None:
    from analytics.database import stand_back

    stand_back(connection.connection)
