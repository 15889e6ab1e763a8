"""The addresses of labeling in the API, under /api/v1/labeling/."""

from __future__ import annotations

from django.urls import URLPattern, path

from labeling_app.api import (
    agreement,
    bulk,
    gold,
    keys,
    labels,
    leases,
    queues,
    reviews,
    sessions,
    suggestions,
    webhooks,
)

app_name = "labeling_api"

_QUEUE = "labeling/queues/<uuid:queue>"
_SESSION = "labeling/sessions/<uuid:session>"
_LEASE = "labeling/leases/<uuid:lease>"
_WEBHOOK = "labeling/webhooks/<uuid:webhook>"
_LABEL = "labeling/labels/<int:label>"

urlpatterns: list[URLPattern] = [
    path("labeling/queues", queues.QueuesView.as_view(), name="label-queues"),
    path(_QUEUE, queues.OneQueueView.as_view(), name="label-queue"),
    path(f"{_QUEUE}/refresh", queues.RefreshView.as_view(), name="label-refresh"),
    path(f"{_QUEUE}/progress", queues.ProgressView.as_view(), name="label-progress"),
    path(f"{_QUEUE}/members", queues.MembersView.as_view(), name="label-members"),
    path(f"{_QUEUE}/assign", queues.AssignView.as_view(), name="label-assign"),
    path(f"{_QUEUE}/items", queues.ItemsView.as_view(), name="label-items"),
    path(f"{_QUEUE}/sessions", sessions.SessionsView.as_view(), name="label-sessions"),
    path(f"{_QUEUE}/my-labels", labels.MyLabelsView.as_view(), name="label-my-labels"),
    path(f"{_QUEUE}/labels", labels.LabelsView.as_view(), name="label-labels"),
    path(f"{_QUEUE}/history", labels.HistoryView.as_view(), name="label-history"),
    path(f"{_SESSION}/next", sessions.NextView.as_view(), name="label-next"),
    path(f"{_SESSION}/heartbeat", sessions.HeartbeatView.as_view(), name="label-heartbeat"),
    path(f"{_SESSION}/end", sessions.EndView.as_view(), name="label-end"),
    path(f"{_LEASE}/submit", leases.SubmitView.as_view(), name="label-submit"),
    path(f"{_LEASE}/skip", leases.SkipView.as_view(), name="label-skip"),
    path(f"{_LEASE}/undo", leases.UndoSkipView.as_view(), name="label-undo-skip"),
    path(f"{_LEASE}/flag", leases.FlagView.as_view(), name="label-flag"),
    path(f"{_LEASE}/draft", leases.DraftView.as_view(), name="label-draft"),
    path(f"{_LEASE}/release", leases.ReleaseView.as_view(), name="label-release"),
    path(f"{_LABEL}/undo", labels.UndoView.as_view(), name="label-undo"),
    path(f"{_LABEL}/flag", labels.FlagLabelView.as_view(), name="label-flag-label"),
    path(f"{_QUEUE}/gold", gold.GoldView.as_view(), name="label-gold"),
    path(f"{_QUEUE}/gold/promote", gold.PromoteView.as_view(), name="label-gold-promote"),
    path(f"{_QUEUE}/scorecards", gold.ScorecardsView.as_view(), name="label-scorecards"),
    path(f"{_QUEUE}/pause", gold.PauseView.as_view(), name="label-pause"),
    path(f"{_QUEUE}/go-on", gold.GoOnView.as_view(), name="label-go-on"),
    path(f"{_QUEUE}/suggestions", suggestions.SuggestionsView.as_view(), name="label-suggestions"),
    path(f"{_QUEUE}/agreement", agreement.AgreementView.as_view(), name="label-agreement"),
    path(f"{_QUEUE}/method", agreement.MethodView.as_view(), name="label-method"),
    path(f"{_QUEUE}/consensus", agreement.ConsensusView.as_view(), name="label-consensus"),
    path(f"{_QUEUE}/label-errors", agreement.LabelErrorsView.as_view(), name="label-errors"),
    path(f"{_QUEUE}/reorder", agreement.ReorderView.as_view(), name="label-reorder"),
    path(f"{_QUEUE}/similar", bulk.SimilarView.as_view(), name="label-similar"),
    path(f"{_QUEUE}/bulk", bulk.LabelBulkView.as_view(), name="label-bulk"),
    path("labeling/bulk/<uuid:bulk>/undo", bulk.UndoBulkView.as_view(), name="label-bulk-undo"),
    path("labeling/reviews", reviews.ReviewsView.as_view(), name="label-reviews"),
    path("labeling/reviews/<int:review>", reviews.ReviewView.as_view(), name="label-review"),
    path("labeling/reviews/<int:review>/claim", reviews.ClaimView.as_view(), name="label-claim"),
    path(
        "labeling/reviews/<int:review>/release",
        reviews.ReleaseReviewView.as_view(),
        name="label-release-review",
    ),
    path("labeling/reviews/<int:review>/decide", reviews.DecideView.as_view(), name="label-decide"),
    path(
        "labeling/reviews/<int:review>/undo", reviews.UndoDecisionView.as_view(), name="label-undo-decision"
    ),
    path("labeling/webhooks", webhooks.WebhooksView.as_view(), name="webhooks"),
    path(_WEBHOOK, webhooks.WebhookView.as_view(), name="webhook"),
    path(f"{_WEBHOOK}/rotate", webhooks.RotateView.as_view(), name="webhook-rotate"),
    path(f"{_WEBHOOK}/test", webhooks.TryView.as_view(), name="webhook-test"),
    path(f"{_WEBHOOK}/deliveries", webhooks.DeliveriesView.as_view(), name="webhook-deliveries"),
    path(
        f"{_WEBHOOK}/deliveries/<uuid:delivery>/resend", webhooks.ResendView.as_view(), name="webhook-resend"
    ),
    path("labeling/keys", keys.KeysView.as_view(), name="label-keys"),
]
