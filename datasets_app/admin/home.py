"""The first page: what there is, in which state, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from datasets_app.admin.corpus_cards import corpus_cards
from datasets_app.admin.summaries import matching, state_of, with_summary
from datasets_app.domain.roles import Action
from datasets_app.models import Dataset, ExampleType
from datasets_app.services.access import allowed_datasets, may, may_somewhere

SHOWN_DATASETS = 60


@dataclass(frozen=True)
class DatasetCard:
    """A dataset on the home page, and what the person may do with it."""

    dataset: Dataset
    state: str
    can_import: bool
    can_commit: bool
    can_review: bool


def home_context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the datasets and corpora that a person may see to the home page."""
    person = request.user
    text = request.GET.get("q", "").replace("\x00", "").strip()
    visible = allowed_datasets(person, Action.VIEW)
    found = with_summary(matching(visible, text).select_related("default_type")).order_by(
        "-is_active", "name"
    )
    shown = list(found[: SHOWN_DATASETS + 1])
    cards = [
        DatasetCard(
            dataset,
            state_of(dataset),
            may(person, Action.IMPORT, dataset),
            may(person, Action.COMMIT, dataset),
            may(person, Action.REVIEW, dataset),
        )
        for dataset in shown[:SHOWN_DATASETS]
    ]
    return {
        **context,
        "title": "Home",
        "cards": cards,
        "corpora": corpus_cards() if may(person, Action.VIEW) and not text else [],
        "more": len(shown) > SHOWN_DATASETS,
        "search": text,
        "types": ExampleType.objects.count(),
        "can_add": may(person, Action.EDIT),
        "sees_anything": may_somewhere(person, Action.VIEW),
        "has_role": may_somewhere(person, Action.LABEL) or may_somewhere(person, Action.VIEW),
    }
