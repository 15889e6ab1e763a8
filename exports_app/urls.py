"""The addresses of this app that belong to no model of the console."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from exports_app.console.backups import download_backup

urlpatterns = [
    path(
        "admin/backup/download/",
        admin.site.admin_view(download_backup),
        name="exports_app_backup_download",
    ),
]
