"""Which entries of the menu about labeling a person sees."""

from __future__ import annotations

import re

from django.http import HttpRequest

from datasets_app.domain.roles import Action
from datasets_app.services.access import may, may_somewhere


def can_label(request: HttpRequest) -> bool:
    return may_somewhere(request.user, Action.LABEL)


def can_review(request: HttpRequest) -> bool:
    return may_somewhere(request.user, Action.REVIEW)


def can_manage(request: HttpRequest) -> bool:
    return may(request.user, Action.MANAGE)


# --- which entry is lit: the addresses of all three begin alike -----------------------------------------------------
_PLACES = {
    "label": re.compile(r"/admin/label/([0-9a-f-]{36}/)?$|/admin/label/keys/"),
    "review": re.compile(r"/admin/label/([0-9a-f-]{36}/)?review/"),
    "queues": re.compile(r"/admin/label/(queues|new|[0-9a-f-]{36}/(?!review/)\w+)/"),
}


def at_label(request: HttpRequest) -> bool:
    return _PLACES["label"].match(request.path) is not None


def at_review(request: HttpRequest) -> bool:
    return _PLACES["review"].match(request.path) is not None


def at_queues(request: HttpRequest) -> bool:
    return _PLACES["queues"].match(request.path) is not None
