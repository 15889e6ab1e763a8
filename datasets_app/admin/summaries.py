"""What the home page and the list say about each dataset, in one query however many rows the datasets have."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from datasets_app.models import Dataset, DatasetCommit, DirtyExample, Tag, WorktreeCount


def with_summary(datasets: QuerySet[Dataset]) -> QuerySet[Dataset]:
    """Add to each dataset: example_rows (of its default branch), has_changes, newest_tag, last_commit_at, last_message."""
    counts = WorktreeCount.objects.filter(branch__dataset=OuterRef("pk"), branch__is_default=True)
    total = counts.order_by().values("branch__dataset").annotate(n=Sum("delta")).values("n")
    commits = DatasetCommit.objects.filter(dataset=OuterRef("pk")).order_by("-id")
    return datasets.annotate(
        example_rows=Coalesce(Subquery(total), 0),
        has_changes=Exists(DirtyExample.objects.filter(branch__dataset=OuterRef("pk"))),
        newest_tag=Subquery(Tag.objects.filter(dataset=OuterRef("pk")).order_by("-id").values("name")[:1]),
        last_commit_at=Subquery(commits.values("committed_at")[:1]),
        last_message=Subquery(commits.values("message")[:1]),
    )


def state_of(dataset: Dataset) -> str:
    """Return archived, empty, draft (never committed), committed, or tagged, of a dataset with its summary."""
    if not dataset.is_active:
        return "archived"
    if dataset.newest_tag:  # type: ignore[attr-defined]
        return "tagged"
    if dataset.last_commit_at:  # type: ignore[attr-defined]
        return "committed"
    return "draft" if dataset.example_rows else "empty"  # type: ignore[attr-defined]


def matching(datasets: QuerySet[Dataset], text: str) -> QuerySet[Dataset]:
    return datasets.filter(Q(name__icontains=text) | Q(description__icontains=text)) if text else datasets
