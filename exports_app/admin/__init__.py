"""The console's pages of exports: they join the pages of a dataset."""

from __future__ import annotations

from datasets_app.admin.base import EXTRA_PAGES, ExtraPage
from exports_app.admin.download import DownloadPage
from exports_app.admin.export import ExportPage

EXTRA_PAGES["export"] = ExtraPage("export/", ExportPage)
EXTRA_PAGES["download"] = ExtraPage("download/", DownloadPage)
