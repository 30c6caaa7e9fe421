"""The admin site: stock Django admin with the gateway's title and skin."""

from __future__ import annotations

from django.contrib.admin import AdminSite


class GatewayAdminSite(AdminSite):
    """The site that every `admin.register` lands on."""

    site_title = "MCP gateway"
    site_header = "MCP gateway"
    index_title = "Overview"
