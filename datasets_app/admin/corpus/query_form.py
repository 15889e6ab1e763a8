"""A test query as a form: its text, what it expects, its rule; read from a row and from what was typed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from datasets_app.admin.corpus.base import id_or_none, shown_url, snippet
from datasets_app.admin.corpus.rows import FormRow, typed_rows
from datasets_app.domain.retrieval.pass_rules import DEFAULT_RULE, RULES, PassRule, checked_rule
from datasets_app.errors import InvalidPassRule
from datasets_app.models import Chunk, TestQuery
from goldenproject.kit.errors import GoldenError

CELLS = ("text", "tags", "difficulty", "category", "rule", "k", "at_least")
RULE_NAMES = {
    "any": "Any expected chunk in the top k",
    "all": "Every expected chunk in the top k",
    "recall": "Recall in the top k",
    "ndcg": "nDCG in the top k",
}
RELEVANCES = ((0, "0 · not relevant"), (1, "1 · relevant"), (2, "2 · good"), (3, "3 · perfect"))
_RULE_CELLS = {"$.rule": "rule", "$.k": "k", "$.at_least": "at_least"}

assert set(RULE_NAMES) == set(RULES)


@dataclass(frozen=True)
class ShownExpectation:
    """An expected chunk as the form shows it."""

    chunk: Chunk
    relevance: int
    is_removed: bool
    source: str
    snippet: str
    choices: list[tuple[int, str]]


class QueryForm:
    """The form. `row` has the cells that are typed; `relevances` what is expected, by chunk id, in order."""

    def __init__(self, cells: dict[str, str], relevances: Mapping[uuid.UUID, int]) -> None:
        self.row = FormRow("query", cells)
        self.relevances = dict(relevances)
        self.removed: set[uuid.UUID] = set()

    @classmethod
    def of(cls, query: TestQuery) -> QueryForm:
        return cls.of_document(query_document(query))

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> QueryForm:
        """Return the form that shows what `query_document` says."""
        rule = checked_rule(document["pass_rule"])
        cells = {
            "text": document["text"],
            "tags": ", ".join(document["tags"]),
            "difficulty": document["difficulty"],
            "category": document["category"],
            "rule": rule.rule,
            "k": "" if rule.k is None else str(rule.k),
            "at_least": "" if rule.at_least is None else f"{rule.at_least:g}",
        }
        best_first = sorted(document["expected"].items(), key=lambda pair: -pair[1])
        return cls(cells, {uuid.UUID(pk): relevance for pk, relevance in best_first})

    @classmethod
    def empty(cls) -> QueryForm:
        return cls({**dict.fromkeys(CELLS, ""), "rule": DEFAULT_RULE}, {})

    @classmethod
    def typed(cls, typed: QueryDict) -> QueryForm:
        cells = {
            name: typed.get(name, "").replace("\r\n", "\n").replace("\x00", "").strip() for name in CELLS
        }
        form = cls(cells, {})
        for row in typed_rows(typed, "expected", ("relevance",)):
            chunk_id = id_or_none(row.key)
            if chunk_id is None:
                continue
            relevance = row.cells["relevance"]
            form.relevances[chunk_id] = int(relevance) if relevance.isdecimal() and len(relevance) < 5 else 1
            if row.is_removed:
                form.removed.add(chunk_id)
        return form

    @property
    def expected(self) -> dict[uuid.UUID, int]:
        """What the query shall expect: relevance by chunk id."""
        return {pk: relevance for pk, relevance in self.relevances.items() if pk not in self.removed}

    def expect(self, chunk_id: uuid.UUID) -> None:
        """Add a chunk, relevant; one that was there stays as it is."""
        self.relevances.setdefault(chunk_id, 1)
        self.removed.discard(chunk_id)

    def rule(self) -> PassRule | None:
        """Return the pass rule that is typed; None, with errors at its cells, when it is none."""
        document: dict[str, Any] = {"rule": self.row.cells["rule"] or DEFAULT_RULE}
        k, at_least = self.row.cells["k"], self.row.cells["at_least"].replace(",", ".")
        if k:
            document["k"] = _number(k)
        if at_least and document["rule"] in ("recall", "ndcg"):
            document["at_least"] = _number(at_least)
        try:
            return checked_rule(document)
        except InvalidPassRule as error:
            self.refuse(error)
            return None

    def document(self) -> dict[str, Any] | None:
        """Return the fields of the query that the form makes; None when it makes none, with errors at its cells."""
        rule = self.rule()
        if not self.row.cells["text"]:
            self.row.refuse("A test query is a question: it needs some text.", "text")
        if rule is None or self.row.errors:
            return None
        cells = self.row.cells
        tags = [tag.strip() for tag in cells["tags"].split(",")]
        return {
            "text": cells["text"],
            "tags": list(dict.fromkeys(tag for tag in tags if tag)),
            "difficulty": cells["difficulty"],
            "category": cells["category"],
            "pass_rule": rule.document(),
            "expected": {str(pk): relevance for pk, relevance in self.expected.items()},
        }

    def refuse(self, error: GoldenError) -> None:
        """Put a refusal at the cell that it names."""
        if isinstance(error, InvalidPassRule):
            details = error.details
            cell = _RULE_CELLS.get(str(details.get("path")), "")
            self.row.refuse(
                f"Found {_shown(details.get('found'))}, expected {details.get('expected')}.", cell
            )
        else:
            self.row.refuse(str(error), str(error.details.get("field", "")).partition("[")[0])

    def expectations(self) -> list[ShownExpectation]:
        """Return what is expected, as it is drawn; chunks that are gone are left out."""
        chunks = Chunk.objects.select_related("analysis").in_bulk(list(self.relevances))
        return [
            shown_expectation(chunks[pk], relevance, is_removed=pk in self.removed)
            for pk, relevance in self.relevances.items()
            if pk in chunks
        ]


def query_document(query: TestQuery) -> dict[str, Any]:
    """Return what can be edited of a query, for comparing what two people saw."""
    found = query.expectations.order_by("pk").values_list("chunk_id", "relevance")
    return {
        "text": query.text,
        "tags": list(query.tags),
        "difficulty": query.difficulty,
        "category": query.category,
        "pass_rule": checked_rule(query.pass_rule).document(),
        "expected": {str(pk): relevance for pk, relevance in found},
    }


def with_names(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document whose expected chunks are named as people know them, for showing differences."""
    chunks = Chunk.objects.in_bulk([uuid.UUID(pk) for pk in document["expected"]])
    names = {str(pk): f"{snippet(str(chunk), length=60)} ({str(pk)[:8]})" for pk, chunk in chunks.items()}
    return {**document, "expected": {names.get(pk, pk): value for pk, value in document["expected"].items()}}


def shown_expectation(chunk: Chunk, relevance: int, *, is_removed: bool = False) -> ShownExpectation:
    return ShownExpectation(
        chunk=chunk,
        relevance=relevance,
        is_removed=is_removed,
        source=shown_url(chunk.analysis.url),
        snippet=snippet(chunk.content),
        choices=list(_choices(relevance)),
    )


def _choices(relevance: int) -> Iterable[tuple[int, str]]:
    yield from RELEVANCES
    if relevance > RELEVANCES[-1][0]:
        yield relevance, f"{relevance} · better still"


def _number(text: str) -> Any:
    """Return the number that a text writes; the text itself, which no rule takes, when it writes none."""
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return text


def _shown(value: Any) -> str:
    return "nothing" if value is None else f"“{value}”"
