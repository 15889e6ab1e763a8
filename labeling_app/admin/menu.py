"""Which entries of the menu about labeling a person sees."""

from __future__ import annotations

from django.http import HttpRequest

from datasets_app.domain.roles import Action
from datasets_app.services.access import may, may_somewhere


def can_label(request: HttpRequest) -> bool:
    return may_somewhere(request.user, Action.LABEL)


def can_review(request: HttpRequest) -> bool:
    return may_somewhere(request.user, Action.REVIEW)


def can_manage(request: HttpRequest) -> bool:
    return may(request.user, Action.MANAGE)
