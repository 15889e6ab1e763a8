"""The pages of labeling, under /admin/label/."""

from __future__ import annotations

from django.urls import URLPattern

from labeling_app.console.agreement import AgreementFigures, AgreementMethod, AgreementPage
from labeling_app.console.base import label_page
from labeling_app.console.bulk import BulkPage
from labeling_app.console.gold_page import GoldPage
from labeling_app.console.home import LabelHomePage, QueueListPage
from labeling_app.console.key_page import KeysPage, SignedInPage
from labeling_app.console.labeling import LabelConsole, LabelForm
from labeling_app.console.overview import OverviewPage
from labeling_app.console.queue_settings import (
    InstructionsPreview,
    MatchingCountPage,
    NewQueuePage,
    QueueSettingsPage,
)
from labeling_app.console.reviewing import QueueReviewPage, ReviewsPage
from labeling_app.console.scorecards_page import ScorecardsPage
from labeling_app.console.webhooks import WebhookPage, WebhooksPage

urlpatterns: list[URLPattern] = [
    label_page("", LabelHomePage, "label_home"),
    label_page("queues/", QueueListPage, "label_queues"),
    label_page("new/", NewQueuePage, "label_queue_new"),
    label_page("count/", MatchingCountPage, "label_queue_count"),
    label_page("preview/", InstructionsPreview, "label_instructions_preview"),
    label_page("keys/", KeysPage, "label_keys"),
    label_page("signed-in/", SignedInPage, "label_signed_in"),
    label_page("webhooks/", WebhooksPage, "label_webhooks"),
    label_page("webhooks/<uuid:webhook_id>/", WebhookPage, "label_webhook"),
    label_page("review/", ReviewsPage, "label_reviews"),
    label_page("<uuid:queue_id>/", LabelConsole, "label_console"),
    label_page("<uuid:queue_id>/form/", LabelForm, "label_form"),
    label_page("<uuid:queue_id>/overview/", OverviewPage, "label_queue"),
    label_page("<uuid:queue_id>/settings/", QueueSettingsPage, "label_queue_settings"),
    label_page("<uuid:queue_id>/review/", QueueReviewPage, "label_review"),
    label_page("<uuid:queue_id>/labelers/", ScorecardsPage, "label_scorecards"),
    label_page("<uuid:queue_id>/gold/", GoldPage, "label_gold"),
    label_page("<uuid:queue_id>/bulk/", BulkPage, "label_bulk"),
    label_page("<uuid:queue_id>/agreement/", AgreementPage, "label_agreement"),
    label_page("<uuid:queue_id>/agreement/figures/", AgreementFigures, "label_agreement_figures"),
    label_page("<uuid:queue_id>/agreement/method/", AgreementMethod, "label_agreement_method"),
]
