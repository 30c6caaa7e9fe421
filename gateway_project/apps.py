"""The wiring package as an application: commands, templates, static files, and the admin site."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class GatewayProjectConfig(AppConfig):
    """The wiring package itself."""

    name = "gateway_project"
    default = True


class GatewayAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our own site class, so that every `admin.register` lands on it."""

    default_site = "gateway_project.admin.GatewayAdminSite"
    default = False
