"""Which entries of the menu a person sees."""

from __future__ import annotations

from django.http import HttpRequest

from datasets_app.domain.roles import Action
from datasets_app.services.access import may, may_somewhere


def can_view(request: HttpRequest) -> bool:
    return may_somewhere(request.user, Action.VIEW)


def can_import(request: HttpRequest) -> bool:
    return may_somewhere(request.user, Action.IMPORT)


def can_manage(request: HttpRequest) -> bool:
    return may(request.user, Action.MANAGE)


def can_back_up(request: HttpRequest) -> bool:
    return may(request.user, Action.BACKUP)


def can_read_corpus(request: HttpRequest) -> bool:
    return may(request.user, Action.VIEW)
