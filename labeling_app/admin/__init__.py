"""The console's lists of labeling, and its tab among the pages of a dataset."""

from __future__ import annotations

from django.contrib import admin

from datasets_app.admin.base import EXTRA_PAGES, ExtraPage
from datasets_app.admin.examples import EXTRA_BULK_ACTIONS
from datasets_app.models import ExampleType
from labeling_app.admin.giving import GIVE
from labeling_app.admin.ledgers import LabelHistoryAdmin, LabelingSessionAdmin
from labeling_app.admin.type_form import LabeledTypeAdmin
from labeling_app.console.home import DatasetQueuesPage
from labeling_app.models import LabelHistory, LabelingSession

EXTRA_PAGES["labeling"] = ExtraPage("labeling/", DatasetQueuesPage)
EXTRA_BULK_ACTIONS.append(GIVE)
admin.site.unregister(ExampleType)
admin.site.register(ExampleType, LabeledTypeAdmin)
admin.site.register(LabelHistory, LabelHistoryAdmin)
admin.site.register(LabelingSession, LabelingSessionAdmin)
