"""Webhooks: who is told of what happens to labels. Made, changed and removed by those who may manage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet

from datasets_app.domain.roles import Action
from datasets_app.models import Dataset
from datasets_app.services.access import allowed_datasets, may, record, require
from goldenproject.kit.audit import acting, known_person
from goldenproject.kit.errors import BadInput, NotFound
from labeling_app.models import Webhook
from labeling_app.services.webhook_address import allowed_address
from labeling_app.services.webhook_sending import secret_of

MAX_NAME = 120


class UnknownWebhook(NotFound):
    """There is no such webhook that you may manage."""

    code = "unknown_webhook"


def webhooks_for(person: Any) -> QuerySet[Webhook]:
    """Return the webhooks that `person` may manage: all, or those of the datasets that they manage."""
    rows = Webhook.objects.select_related("dataset", "created_by")
    if may(person, Action.MANAGE):
        return rows
    return rows.filter(dataset__in=allowed_datasets(person, Action.MANAGE))


def get_webhook(person: Any, key: Any) -> Webhook:
    """Return a webhook that `person` may manage. Raises UnknownWebhook."""
    webhook = webhooks_for(person).filter(pk=key).first()
    if webhook is None:
        raise UnknownWebhook(f"There is no webhook {key} that you may manage.")
    return webhook


def create_webhook(
    *, name: str, url: str, events: Iterable[str], actor: Any, dataset: Dataset | None = None
) -> tuple[Webhook, str]:
    """Make a webhook and return it with the secret that signs its messages.

    Without a dataset it is told of all of them, which takes the right everywhere. Raises Forbidden, BadInput,
    WebhookAddressRefused.
    """
    require(actor, Action.MANAGE, dataset)
    webhook = Webhook(
        name=_checked_name(name),
        url=allowed_address(url).url,
        events=_checked_events(events),
        dataset=dataset,
        created_by=known_person(actor),
    )
    with acting(actor, f"webhook {webhook.name}"):
        _save(webhook)
        record(actor, "webhook.create", dataset, webhook.name, webhook=str(webhook.pk), events=webhook.events)
    webhook.refresh_from_db()
    return webhook, secret_of(webhook)


def update_webhook(*, webhook: Webhook, actor: Any, **fields: Any) -> Webhook:
    """Change name, url, events or is_active. Raises Forbidden, BadInput, WebhookAddressRefused."""
    require(actor, Action.MANAGE, webhook.dataset)
    checks: dict[str, Callable[[Any], Any]] = {
        "name": _checked_name,
        "url": lambda url: allowed_address(url).url,
        "events": _checked_events,
        "is_active": bool,
    }
    changed = {name: checks[name](value) for name, value in fields.items()}
    with acting(actor, f"webhook {webhook.name}"):
        for name, value in changed.items():
            setattr(webhook, name, value)
        _save(webhook)
        record(
            actor,
            "webhook.update",
            webhook.dataset,
            webhook.name,
            webhook=str(webhook.pk),
            fields=sorted(changed),
        )
    return webhook


def rotate_secret(*, webhook: Webhook, actor: Any) -> str:
    """Make the webhook's secret another one from now on, for what waits to be sent too, and return it."""
    require(actor, Action.MANAGE, webhook.dataset)
    with acting(actor, f"webhook {webhook.name}"):
        Webhook.objects.filter(pk=webhook.pk).update(secret_version=F("secret_version") + 1)
        record(actor, "webhook.rotate_secret", webhook.dataset, webhook.name, webhook=str(webhook.pk))
    webhook.refresh_from_db()
    return secret_of(webhook)


def delete_webhook(*, webhook: Webhook, actor: Any) -> None:
    """Remove a webhook and its messages; what waits is not sent any more."""
    require(actor, Action.MANAGE, webhook.dataset)
    with acting(actor, f"webhook {webhook.name}"):
        record(actor, "webhook.delete", webhook.dataset, webhook.name, webhook=str(webhook.pk))
        webhook.delete()


def _save(webhook: Webhook) -> None:
    try:
        with transaction.atomic():
            webhook.save()
    except IntegrityError as error:
        raise BadInput(
            f"There is a webhook of the name “{webhook.name}” already.", hint="Choose another name."
        ) from error


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise BadInput(f"Name: found {name[:130]!r}, expected 1 to {MAX_NAME} printable characters.")
    return name


def _checked_events(events: Iterable[str]) -> list[str]:
    wanted = set(events)
    unknown = sorted(wanted - set(Webhook.Event.values))
    if unknown or not wanted:
        known = ", ".join(Webhook.Event.values)
        raise BadInput(f"Events: found {', '.join(unknown) or 'none'}, expected one or more of {known}.")
    return [event for event in Webhook.Event.values if event in wanted]
