"""The history of a dataset: the graph of its commits, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datasets_app.admin.versioning.page import PAGE_SIZE, VersioningPage, number
from datasets_app.domain.commits import GraphRow
from datasets_app.services.versioning.log import LoggedCommit, graph

LANE_PX = 18
ROW_PX = 56
COLOURS = 6


@dataclass(frozen=True)
class Line:
    """A line of the graph inside one row: an SVG path, and which of the colours it has."""

    path: str
    colour: int


@dataclass(frozen=True)
class DrawnCommit:
    """A commit with what the SVG of its row needs; lengths in CSS pixels."""

    logged: LoggedCommit
    x: int
    colour: int
    lines: list[Line]

    @property
    def commit(self) -> Any:
        return self.logged.commit

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return str(self.commit.message.partition("\n")[0])

    @property
    def is_merge(self) -> bool:
        return bool(self.commit.merge_parent_hash)


class LogPage(VersioningPage):
    """All commits of a dataset as a graph, with the branches and tags that name them."""

    tab = "log"
    title = "History"
    template_name = "datasets_app/versioning/log.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        before = number(self.request.GET.get("before"), -1)
        logged = graph(self.dataset, limit=PAGE_SIZE + 1, before_id=before if before >= 0 else None)
        older = logged[PAGE_SIZE - 1].commit.pk if len(logged) > PAGE_SIZE else None
        drawn = [draw(row) for row in logged[:PAGE_SIZE]]
        lanes = max((_lanes(row.logged.row) for row in drawn), default=1)
        return {
            **super().get_context_data(**kwargs),
            "drawn": drawn,
            "width": lanes * LANE_PX,
            "row_height": ROW_PX,
            "middle": ROW_PX // 2,
            "older": self.url("log", before=older) if older is not None else "",
            "is_newest": before < 0,
        }


def draw(logged: LoggedCommit) -> DrawnCommit:
    """Turn a row of lanes into lines: what waits for this commit bends into its dot, what it waits for leaves it."""
    row = logged.row
    commit = logged.commit
    lines = []
    for lane, waiting in enumerate(row.lanes_before):
        if waiting == row.hash:
            lines.append(Line(_bend(lane, 0, row.lane, ROW_PX // 2), lane % COLOURS))
        elif waiting is not None and lane < len(row.lanes_after) and row.lanes_after[lane] == waiting:
            lines.append(Line(_bend(lane, 0, lane, ROW_PX), lane % COLOURS))
    for parent in commit.parents:
        if parent in row.lanes_after:
            lane = row.lanes_after.index(parent)
            lines.append(Line(_bend(row.lane, ROW_PX // 2, lane, ROW_PX), max(lane, row.lane) % COLOURS))
    return DrawnCommit(logged, _x(row.lane), row.lane % COLOURS, lines)


def _lanes(row: GraphRow) -> int:
    return max(len(row.lanes_before), len(row.lanes_after), row.lane + 1)


def _x(lane: int) -> int:
    return lane * LANE_PX + LANE_PX // 2


def _bend(from_lane: int, from_y: int, to_lane: int, to_y: int) -> str:
    start, end = _x(from_lane), _x(to_lane)
    if start == end:
        return f"M{start} {from_y}V{to_y}"
    middle = (from_y + to_y) // 2
    return f"M{start} {from_y}C{start} {middle} {end} {middle} {end} {to_y}"
