"""Registers what is published with the admin site."""

from __future__ import annotations

from django.contrib import admin

from namespaces.admin_catalogue import CatalogueEntryAdmin
from namespaces.admin_namespace import NamespaceAdmin
from namespaces.admin_upstream import UpstreamAdmin
from namespaces.models import CatalogueEntry, Namespace, Upstream

admin.site.register(Upstream, UpstreamAdmin)
admin.site.register(Namespace, NamespaceAdmin)
admin.site.register(CatalogueEntry, CatalogueEntryAdmin)
