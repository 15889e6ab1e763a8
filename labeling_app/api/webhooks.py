"""Webhooks over the API: for those who may manage, everywhere or in the datasets of the webhooks."""

from __future__ import annotations

import uuid

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import JsonObject, operation
from datasets_app.api.paging import PageQuery, cut, decode_cursor, newest_first, paged
from datasets_app.domain.roles import Action
from goldenproject.kit.errors import NotFound
from labeling_app.api.base import QueueView
from labeling_app.models import Webhook, WebhookDelivery
from labeling_app.services.webhook_address import MAX_URL
from labeling_app.services.webhook_deliveries import resend, send_test
from labeling_app.services.webhooks import (
    MAX_NAME,
    create_webhook,
    delete_webhook,
    get_webhook,
    rotate_secret,
    update_webhook,
    webhooks_for,
)


class WebhookOut(serializers.Serializer):
    """A webhook, without its secret."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    url = serializers.CharField()
    events = serializers.ListField(child=serializers.ChoiceField(Webhook.Event.choices))
    dataset = serializers.CharField(
        source="dataset.name", default=None, allow_null=True, help_text="null: all datasets"
    )
    is_active = serializers.BooleanField()
    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)
    created_at = serializers.DateTimeField()


class NewWebhookOut(WebhookOut):
    """A webhook with the secret that signs its messages: shown now and never again."""

    secret = serializers.CharField()


class SecretOut(serializers.Serializer):
    """The secret that signs from now on: shown now and never again."""

    secret = serializers.CharField()


class WebhookChange(serializers.Serializer):
    """Fields that are to change."""

    name = serializers.CharField(max_length=MAX_NAME, required=False)
    url = serializers.CharField(max_length=MAX_URL, required=False)
    events = serializers.ListField(
        child=serializers.ChoiceField(Webhook.Event.choices), allow_empty=False, required=False
    )
    is_active = serializers.BooleanField(required=False)


class WebhookBody(serializers.Serializer):
    """A new webhook: of one dataset, or of all when none is named."""

    name = serializers.CharField(max_length=MAX_NAME)
    url = serializers.CharField(max_length=MAX_URL)
    events = serializers.ListField(child=serializers.ChoiceField(Webhook.Event.choices), allow_empty=False)
    dataset = serializers.CharField(max_length=200, required=False, allow_null=True, default=None)


class DeliveryOut(serializers.Serializer):
    """A message and what became of it. `id` is the header Golden-Delivery, the same at every try."""

    id = serializers.UUIDField()
    event = serializers.CharField()
    state = serializers.ChoiceField(WebhookDelivery.State.choices)
    attempts = serializers.IntegerField()
    next_try_at = serializers.DateTimeField()
    response_status = serializers.IntegerField(allow_null=True)
    error = serializers.CharField(allow_blank=True)
    payload = JsonObject()
    created_at = serializers.DateTimeField()
    delivered_at = serializers.DateTimeField(allow_null=True)


class WebhooksView(QueueView):
    actions = {"GET": Action.MANAGE, "POST": Action.MANAGE}

    @operation(
        "labeling_webhooks_list",
        "Webhooks that you may manage",
        tag="webhooks",
        query=PageQuery,
        answer=paged(WebhookOut),
    )
    def get(self, request: Request) -> Response:
        query = self.query(PageQuery)
        rows = webhooks_for(request.user)
        after = decode_cursor(query["cursor"], str)
        if after is not None:
            rows = rows.filter(name__gt=after)
        page, cursor = cut(
            list(rows.order_by("name")[: query["limit"] + 1]), query["limit"], lambda row: row.name
        )
        return self.page(page, WebhookOut, cursor)

    @operation(
        "labeling_webhooks_create",
        "Make a webhook",
        tag="webhooks",
        body=WebhookBody,
        answer=NewWebhookOut,
        status=201,
    )
    def post(self, request: Request) -> Response:
        body = self.body(WebhookBody)
        name = body.pop("dataset")
        dataset = None if name is None else self.visible_dataset(name)
        webhook, secret = create_webhook(actor=request.user, dataset=dataset, **body)
        return Response({**WebhookOut(webhook).data, "secret": secret}, status=201)


class WebhookView(QueueView):
    actions = {"GET": Action.MANAGE, "PATCH": Action.MANAGE, "DELETE": Action.MANAGE}

    @operation("labeling_webhooks_read", "A webhook", tag="webhooks", answer=WebhookOut)
    def get(self, request: Request, webhook: uuid.UUID) -> Response:
        return Response(WebhookOut(get_webhook(request.user, webhook)).data)

    @operation(
        "labeling_webhooks_update", "Change a webhook", tag="webhooks", body=WebhookChange, answer=WebhookOut
    )
    def patch(self, request: Request, webhook: uuid.UUID) -> Response:
        found = get_webhook(request.user, webhook)
        changed = update_webhook(webhook=found, actor=request.user, **self.body(WebhookChange, partial=True))
        return Response(WebhookOut(changed).data)

    @operation("labeling_webhooks_delete", "Remove a webhook", tag="webhooks", status=204)
    def delete(self, request: Request, webhook: uuid.UUID) -> Response:
        delete_webhook(webhook=get_webhook(request.user, webhook), actor=request.user)
        return Response(status=204)


class RotateView(QueueView):
    actions = {"POST": Action.MANAGE}

    @operation("labeling_webhooks_rotate", "Give a webhook another secret", tag="webhooks", answer=SecretOut)
    def post(self, request: Request, webhook: uuid.UUID) -> Response:
        secret = rotate_secret(webhook=get_webhook(request.user, webhook), actor=request.user)
        return Response({"secret": secret})


class TryView(QueueView):
    actions = {"POST": Action.MANAGE}

    @operation("labeling_webhooks_test", "Send a test message now", tag="webhooks", answer=DeliveryOut)
    def post(self, request: Request, webhook: uuid.UUID) -> Response:
        delivery = send_test(webhook=get_webhook(request.user, webhook), actor=request.user)
        return Response(DeliveryOut(delivery).data)


class DeliveriesView(QueueView):
    actions = {"GET": Action.MANAGE}

    @operation(
        "labeling_webhooks_deliveries",
        "Messages of a webhook of the last thirty days, newest first",
        tag="webhooks",
        query=PageQuery,
        answer=paged(DeliveryOut),
    )
    def get(self, request: Request, webhook: uuid.UUID) -> Response:
        rows = WebhookDelivery.objects.filter(webhook=get_webhook(request.user, webhook))
        page, cursor = newest_first(rows, self.query(PageQuery))
        return self.page(page, DeliveryOut, cursor)


class ResendView(QueueView):
    actions = {"POST": Action.MANAGE}

    @operation(
        "labeling_webhooks_resend", "Send a message once more, now", tag="webhooks", answer=DeliveryOut
    )
    def post(self, request: Request, webhook: uuid.UUID, delivery: uuid.UUID) -> Response:
        rows = WebhookDelivery.objects.filter(webhook=get_webhook(request.user, webhook))
        found = rows.select_related("webhook__dataset").filter(pk=delivery).first()
        if found is None:
            raise NotFound(f"The webhook has no message {delivery}.")
        return Response(DeliveryOut(resend(delivery=found, actor=request.user)).data)
