"""Judgments of a benchmark: the file of a split, its lines, with or without a header, of three columns or TREC's four."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from datasets_app.errors import MalformedRow
from datasets_app.services.corpus.bulk_queries import MAX_RELEVANCE
from datasets_app.services.corpus.json_files import opened
from goldenproject.kit.errors import BadInput

DEFAULT_SPLIT = "test"


@dataclass
class Judgments:
    """The relevance of documents by query: {query id: {document id: 0…}}. `not_relevant` counts those of 0 or less."""

    by_query: dict[str, dict[str, int]] = field(default_factory=dict)
    not_relevant: int = 0


def choose_split(folder: Path, split: str = "") -> Path:
    """Return qrels/SPLIT.tsv of a folder; without a split the only one there is, else that of test. Raises BadInput."""
    files = sorted((folder / "qrels").glob("*.tsv"))
    names = ", ".join(file.stem for file in files)
    if not files:
        raise BadInput(f"{folder} has no qrels/*.tsv; expected the judgments there, a file a split.")
    wanted = split or (files[0].stem if len(files) == 1 else DEFAULT_SPLIT)
    for file in files:
        if file.stem == wanted:
            return file
    raise BadInput(f"{folder} has no split “{wanted}”.", hint=f"Splits: {names}.")


def read_judgments(path: Path) -> Judgments:
    """Return the judgments of a file. Raises MalformedRow with the line; the same judgment twice is one."""
    judgments = Judgments()
    with opened(path) as file:
        for number, raw in enumerate(file, 1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip("\r\n")
            except UnicodeDecodeError as error:
                raise MalformedRow(f"{path.name} line {number}: found bytes that are not UTF-8.") from error
            if line.strip():
                _take(judgments, line, path.name, number)
    return judgments


def _take(judgments: Judgments, line: str, name: str, number: int) -> None:
    cells = line.split("\t") if "\t" in line else line.split()
    if len(cells) == 4:
        del cells[1]  # TREC's iteration, which nothing uses
    if len(cells) != 3:
        raise MalformedRow(
            f"{name} line {number}: found {len(cells)} columns, expected query-id, corpus-id and score, by tabs."
        )
    query_id, document_id, score = (cell.strip() for cell in cells)
    relevance = _relevance(score)
    if relevance is None:
        if number == 1:
            return  # the header
        raise MalformedRow(
            f"{name} line {number}: found the score {score!r:.40}, expected a whole number up to {MAX_RELEVANCE}."
        )
    judged = judgments.by_query.setdefault(query_id, {})
    before = judged.setdefault(document_id, relevance)
    if before != relevance:
        raise MalformedRow(
            f"{name} line {number}: found {relevance} for query {query_id} and document {document_id}, which an earlier "
            f"line judges {before}; expected one judgment."
        )
    judgments.not_relevant += relevance == 0


def _relevance(score: str) -> int | None:
    try:
        value = float(score)
    except ValueError:
        return None
    if not math.isfinite(value) or not value.is_integer() or value > MAX_RELEVANCE:
        return None
    return max(int(value), 0)
