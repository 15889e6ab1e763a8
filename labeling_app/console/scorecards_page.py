"""How each labeler of a queue does. Reviewers see all of them, a labeler the own figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from datasets_app.admin.corpus.base import text_of
from datasets_app.domain.retrieval.significance import Estimate
from datasets_app.domain.roles import Action
from datasets_app.services.access import may, require
from goldenproject.kit.clock import now
from goldenproject.kit.errors import BadInput, NotFound
from labeling_app.console.base import QueuePage
from labeling_app.services.gold import let_go_on, pause_labeler
from labeling_app.services.scorecards import SHOWN_WEEKS, Pace, Scorecard, Week, checks_answered, scorecards

SPANS = {"": ("all the time", None), "7": ("the last 7 days", 7), "30": ("the last 30 days", 30)}
FEWEST_CHECKS_SHOWN = 10
"""A labeler sees the own share of right checks only over so many, so that it tells nothing of any single one."""
FEWEST_COMPARED_SHOWN = 20
"""So too the own agreement: a check is compared with nobody, and taking an answer back would tell that."""
_STEP = 5
_WIDTH, _HEIGHT = 96, 30


@dataclass(frozen=True)
class Spark:
    """Weeks of a labeler as a small picture: (x, y, height, words) of bars of labels, and the line of the agreement."""

    bars: list[tuple[float, float, float, str]]
    line: str
    words: str


@dataclass(frozen=True)
class ScorecardRow:
    """A labeler in the table."""

    card: Scorecard
    per_hour: float | None
    accuracy: Estimate | None
    agreement: Estimate | None
    spark: Spark


@dataclass(frozen=True)
class OwnShares:
    """What a labeler is told of the own answers, in steps of 5 percent; None as long as they are few."""

    right: int | None
    agreed: int | None


class ScorecardsPage(QueuePage):
    """Labels, pace, accuracy on hidden checks, agreement with the consensus, week by week; who is paused, and why."""

    title = "Labelers"
    tab = "labelers"
    action = Action.LABEL
    write_action = Action.REVIEW
    template_name = "labeling_app/queue/scorecards.html"

    def load(self, **kwargs: Any) -> None:
        if not may(self.person, Action.REVIEW, self.queue.dataset):
            self.title = "My figures"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        span = text_of(self.request.GET, "days", 3)
        days = SPANS.get(span, SPANS[""])[1]
        since = now() - timedelta(days=days) if days else None
        sees_all = may(self.person, Action.REVIEW, self.queue.dataset)
        cards = scorecards(self.queue, since=since) if sees_all else [self._own(since)]
        return super().get_context_data(
            rows=[_row(card, sees_all=sees_all) for card in cards],
            own=None if sees_all else self._own_shares(),
            sees_all=sees_all,
            span=span if span in SPANS else "",
            spans=[(key, words) for key, (words, _) in SPANS.items()],
            pause_below=self.queue.gold_pause_below,
            **kwargs,
        )

    def _own(self, since: datetime | None) -> Scorecard:
        name = self.person.get_username()
        found = scorecards(self.queue, since=since, annotator=name)
        return found[0] if found else Scorecard(name, self.person.pk, Pace())

    def _own_shares(self) -> OwnShares:
        """Return what a labeler is told, up to yesterday: what changed with the last answer tells which was a check."""
        moment = now()
        midnight = datetime.combine(moment.date(), time(), tzinfo=moment.tzinfo)
        found = scorecards(self.queue, until=midnight, annotator=self.person.get_username())
        return OwnShares(
            right=_told(
                checks_answered(self.queue, labeler=self.person, until=midnight), FEWEST_CHECKS_SHOWN
            ),
            agreed=_told(found[0].pace.agreement if found else None, FEWEST_COMPARED_SHOWN),
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        require(self.person, Action.REVIEW, self.queue.dataset)
        do, _, key = request.POST.get("do", "").partition(":")
        number = int(key) if key.isascii() and key.isdecimal() and len(key) < 10 else 0
        labeler = get_user_model()._default_manager.filter(pk=number).first()
        if labeler is None:
            raise NotFound("There is no such labeler.", hint="Load the page again.")
        if do == "pause":
            reason = request.POST.get(f"reason-{key}", "").strip()[:1000]
            if not reason:
                raise BadInput("Say why: the labeler reads it.")
            pause_labeler(queue=self.queue, labeler=labeler, actor=self.person, reason=reason)
            messages.success(request, f"{labeler} is paused in this queue.")
        elif do == "go_on":
            let_go_on(queue=self.queue, labeler=labeler, actor=self.person)
            messages.success(request, f"{labeler} may go on; the checks so far do not count any more.")
        else:
            raise BadInput("This button is not known here; load the page again.")
        return HttpResponseRedirect(reverse("label_scorecards", args=[self.queue.pk]))


def _told(share: Estimate | None, fewest: int) -> int | None:
    return None if share is None or share.n < fewest else round(share.mean * 100 / _STEP) * _STEP


def _row(card: Scorecard, *, sees_all: bool) -> ScorecardRow:
    return ScorecardRow(
        card=card,
        per_hour=card.pace.labels_per_hour,
        accuracy=card.pace.accuracy if sees_all else None,
        agreement=card.pace.agreement if sees_all else None,
        spark=_spark(card.weeks, with_agreement=sees_all),
    )


def _spark(weeks: list[Week], *, with_agreement: bool) -> Spark:
    """Draw the newest weeks: bars are labels, by the greatest of them; the line is the agreement, 0 to 1."""
    most = max((week.pace.labels for week in weeks), default=0) or 1
    step = _WIDTH / SHOWN_WEEKS
    bars, points, words = [], [], []
    for number, week in enumerate(weeks):
        height = max(1.5, (_HEIGHT - 4) * week.pace.labels / most)
        x = number * step
        agreement = week.pace.agreement if with_agreement else None
        told = f"week of {week.start:%b %d}: {week.pace.labels:,} labels"
        if agreement is not None:
            told += f", agreement {agreement.mean:.0%}"
            points.append(f"{x + step / 2 - 1:.1f},{2 + (_HEIGHT - 4) * (1 - agreement.mean):.1f}")
        bars.append((round(x, 1), round(_HEIGHT - height, 1), round(height, 1), told))
        words.append(told)
    return Spark(bars, " ".join(points) if len(points) > 1 else "", "; ".join(words))
