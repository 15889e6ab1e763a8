"""The graph of a log beside its commits, drawn with lines in lanes."""

from __future__ import annotations

from collections.abc import Sequence

from datasets_app.domain.commits import GraphCommit, GraphRow, graph_rows

COMMIT, LANE, GAP = "●", "│", " "


def drawn(commits: Sequence[GraphCommit]) -> list[tuple[str, str, str]]:
    """Return for each commit (children before parents) the prefix of its first line, of its further lines, and a joining line.

    The joining line is empty where no line changes its lane. All are padded to one width.
    """
    rows = graph_rows(list(commits))
    width = 2 * max(
        (max(len(row.lanes_before), len(row.lanes_after), row.lane + 1) for row in rows), default=1
    )
    drawing = []
    for commit, row in zip(commits, rows, strict=True):
        join = _join(commit, row)
        drawing.append(
            (_node(row).ljust(width), _lanes(row.lanes_after).ljust(width), join.ljust(width) if join else "")
        )
    return drawing


def _node(row: GraphRow) -> str:
    cells = [LANE if waiting and waiting != row.hash else GAP for waiting in row.lanes_before]
    cells += [GAP] * (row.lane + 1 - len(cells))
    cells[row.lane] = COMMIT
    return " ".join(cells)


def _lanes(lanes: Sequence[str | None]) -> str:
    return " ".join(LANE if waiting else GAP for waiting in lanes)


def _join(commit: GraphCommit, row: GraphRow) -> str:
    """Draw the lines from a commit to parents that wait in other lanes."""
    after = row.lanes_after
    targets = [
        after.index(parent)
        for parent in commit.parents
        if parent in after and after.index(parent) != row.lane
    ]
    if not targets:
        return ""
    left, right = min([row.lane, *targets]), max([row.lane, *targets])
    stays = row.lane < len(after) and after[row.lane] is not None
    cells = []
    for lane in range(max(len(after), right + 1)):
        waiting = lane < len(after) and after[lane] is not None
        if left <= lane <= right:
            opened = lane >= len(row.lanes_before) or row.lanes_before[lane] is None
            cells.append(
                _corner(
                    lane,
                    row.lane,
                    left,
                    right,
                    stays=stays,
                    target=lane in targets,
                    opened=opened,
                    waiting=waiting,
                )
            )
        else:
            cells.append(LANE if waiting else GAP)
    line = ""
    for lane, cell in enumerate(cells):
        line += cell + ("─" if left <= lane < right else " ")
    return line.rstrip()


def _corner(
    lane: int, own: int, left: int, right: int, *, stays: bool, target: bool, opened: bool, waiting: bool
) -> str:
    if lane == own:
        if lane == left:
            return "├" if stays else "╰"
        if lane == right:
            return "┤" if stays else "╯"
        return "┼" if stays else "┴"
    if target:
        if lane == left:
            return "╭" if opened else "├"
        if lane == right:
            return "╮" if opened else "┤"
        return "┬" if opened else "┼"
    return "┼" if waiting else "─"
