"""The console's pages of exports: they join the pages of a dataset."""

from __future__ import annotations

from datasets_app.admin.base import EXTRA_PAGES, ExtraPage
from exports_app.admin.export import ExportPage

EXTRA_PAGES["export"] = ExtraPage("export/", ExportPage)
