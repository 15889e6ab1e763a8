"""The addresses of backups and restores, under /api/v1/ beside those of the datasets."""

from __future__ import annotations

from django.urls import path

from exports_app.api import backups, restores

app_name = "exports_api"

urlpatterns = [
    path("backups", backups.BackupsView.as_view(), name="backups"),
    path("backups/archives", backups.ArchivesView.as_view(), name="backup-archives"),
    path("backups/download", backups.DownloadView.as_view(), name="backup-download"),
    path("backups/verify", backups.VerifyView.as_view(), name="backup-verify"),
    path("restores", restores.RestoresView.as_view(), name="restores"),
]
