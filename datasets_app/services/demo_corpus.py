"""The demo corpus of the first start: the standard library's documentation strings, and questions made from them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from datasets_app.domain.retrieval.english import terms
from datasets_app.models import Corpus
from datasets_app.services.corpus.analyses import save_analyses
from datasets_app.services.corpus.corpora import create_corpus
from datasets_app.services.corpus.docstrings import (
    Documented,
    DocumentedModule,
    documented_modules,
    pieces,
)
from datasets_app.services.corpus.drafts import (
    AnalysisDraft,
    ArtifactDraft,
    ChunkDraft,
    FindingDraft,
    QueryDraft,
)
from datasets_app.services.corpus.queries import save_queries
from goldenproject.kit.audit import acting

DEMO_CORPUS: Final = "Demo: Python library"
ANALYSES: Final = 98
CHUNKS: Final = 415
QUERIES: Final = 203
_FINDINGS_A_MODULE: Final = 6
_MODULE = "module"
_PASSES_WITHIN: Final = {"easy": 1, "medium": 3, "hard": 10}
"""How early the answer must come: whoever asks in the words of the text finds it at once."""

# What a person who does not know the text might say instead.
_OTHER_WORDS: Final = {
    "return": "get",
    "returns": "gets",
    "create": "make",
    "creates": "makes",
    "convert": "turn",
    "string": "text",
    "strings": "texts",
    "iterable": "sequence of values",
    "dictionary": "mapping",
    "directory": "folder",
    "remove": "take away",
    "raise": "signal",
    "sequence": "series",
    "given": "particular",
    "specified": "chosen",
    "integer": "whole number",
    "exception": "error",
    "parse": "read",
    "compute": "work out",
}
_VERB_LIST: Final = """
accept add apply build change check close compare compute concatenate construct convert copy count create decode decorate
delete determine encode escape execute expand extract fetch fill find format generate get guess insert install invoke
iterate join list load look make map match merge move normalize open parse perform print process produce put read register
remove rename render repeat replace return run search select send set skip sort split start stop store strip test
translate try unregister update use wait walk wrap write yield
"""
_VERBS: Final = frozenset(_VERB_LIST.split())
# Words with which a cut phrase cannot end, nor a phrase that answers "what" begin.
_LOOSE_ENDS: Final = frozenset(
    (
        "a",
        "an",
        "and",
        "any",
        "as",
        "at",
        "be",
        "by",
        "every",
        "for",
        "from",
        "if",
        "in",
        "is",
        "its",
        "of",
        "on",
    )
) | {"one", "or", "same", "that", "the", "to", "when", "where", "which", "with"}
_NO_BEGINNING: Final = frozenset(
    ("is", "are", "it", "this", "these", "takes", "for", "defines", "raised", "if", "when")
)


@dataclass(frozen=True)
class _Piece:
    """A chunk to be, and what it tells of."""

    module: DocumentedModule
    subject: Documented
    part: int
    text: str

    @property
    def path(self) -> str:
        return "/".join([*self.subject.name.split("."), *([str(self.part)] if self.part else [])])


def load_demo_corpus(*, actor: Any) -> Corpus:
    """Make the demo corpus, about 98 analyses with 415 chunks and 203 test queries; the same for one version of Python.

    Raises Conflict when there is one already.
    """
    modules = list(islice(documented_modules(), ANALYSES))
    with acting(actor, "load the demo corpus"):
        corpus = create_corpus(
            name=DEMO_CORPUS,
            description="Documentation strings of Python's standard library, with questions made from them, to try "
            "search and evaluation. The text is that of the installed Python, under the licence of Python.",
            actor=actor,
        )
        taken = _dealt([list(_pieces_of(module)) for module in modules], CHUNKS)
        drafts = [_analysis(corpus, module, taken) for module in modules]
        save_analyses(corpus=corpus, drafts=[draft for draft in drafts if draft.chunks], actor=actor)
        save_queries(corpus=corpus, drafts=_queries(corpus, modules, taken), actor=actor)
    return corpus


def _dealt(hands: list[list[Any]], count: int) -> list[Any]:
    """Return at most `count` items: the first of every list, then the second of every list, and so on."""
    longest = max(map(len, hands), default=0)
    rounds = (hand[number] for number in range(longest) for hand in hands if number < len(hand))
    return [item for item, _ in zip(rounds, range(count), strict=False)]


def _pieces_of(module: DocumentedModule) -> Iterator[_Piece]:
    """Yield the beginnings of a module and of its members, then the second pieces of long members."""
    subjects = [Documented(module.name, _MODULE, module.text, 1.0), *module.members]
    cut = [(subject, pieces(subject.text)) for subject in subjects]
    for part in (0, 1):
        for subject, texts in cut:
            if part < len(texts) and not (part and subject.kind == _MODULE):
                yield _Piece(module, subject, part, texts[part])


# Analyses -----------------------------------------------------------------------------------------------------------


def _analysis(corpus: Corpus, module: DocumentedModule, taken: Iterable[_Piece]) -> AnalysisDraft:
    own = sorted((piece for piece in taken if piece.module is module), key=lambda piece: piece.path)
    return AnalysisDraft(
        url=module.url,
        content_type="documentation",
        findings=[_finding(member) for member in module.members[:_FINDINGS_A_MODULE]],
        chunks=[
            ChunkDraft(
                content=piece.text,
                section_title=piece.subject.name,
                section_path=piece.path,
                content_type=piece.subject.kind,
                id=_chunk_id(corpus, piece),
            )
            for piece in own
        ],
        artifact=_artifact(module),
    )


def _chunk_id(corpus: Corpus, piece: _Piece) -> uuid.UUID:
    return uuid.uuid5(corpus.pk, piece.path)


def _finding(member: Documented) -> FindingDraft:
    """Confidence is the share of the subject that its documentation covers, no guess."""
    return FindingDraft(
        agent="docstring reader",
        category=member.kind,
        content=f"{member.name}: {member.first_line}",
        confidence=round(member.coverage, 3),
    )


def _artifact(module: DocumentedModule) -> ArtifactDraft:
    kinds = [member.kind for member in module.members]
    return ArtifactDraft(
        summary=module.text.split("\n\n")[0],
        key_findings=[
            f"{member.name}: {member.first_line}" for member in module.members[:_FINDINGS_A_MODULE]
        ],
        metadata={
            "module": module.name,
            "classes": kinds.count("class"),
            "exceptions": kinds.count("exception"),
            "functions": kinds.count("function"),
            "public_members": module.member_count,
            "documented_members": len(module.members),
        },
    )


# Test queries -------------------------------------------------------------------------------------------------------


def _queries(corpus: Corpus, modules: list[DocumentedModule], taken: list[_Piece]) -> Iterator[QueryDraft]:
    """Yield questions whose answer is known: each is a first sentence without the name of what it describes."""
    asked: set[str] = set()
    hands: list[list[QueryDraft]] = []
    for number, module in enumerate(modules):
        hand: list[QueryDraft] = []
        for piece in taken:
            if piece.module is not module or piece.subject.kind == _MODULE or piece.part:
                continue
            draft = _query(corpus, piece, variant=(number + len(hand)) % 3)
            if draft is not None and draft.text not in asked:
                asked.add(draft.text)
                hand.append(draft)
        hands.append(hand)
    yield from _dealt(hands, QUERIES)


def _query(corpus: Corpus, piece: _Piece, variant: int) -> QueryDraft | None:
    asked = ((kind, _question(piece.subject, kind)) for kind in (variant, 1, 0))
    variant, question = next(((kind, text) for kind, text in asked if text), (variant, None))
    if question is None:
        return None
    difficulty = _difficulty(question, piece.text)
    return QueryDraft(
        text=question,
        expected={_chunk_id(corpus, piece): 1},
        tags=[piece.subject.kind, "reworded" if variant else "verbatim"],
        difficulty=difficulty,
        category=piece.module.name,
        pass_rule={"rule": "any", "k": _PASSES_WITHIN[difficulty]},
        external_id=piece.path,
        id=uuid.uuid5(corpus.pk, f"query {piece.path}"),
    )


def _question(subject: Documented, variant: int) -> str | None:
    """Return the first sentence as somebody would ask for it, or None when that makes no sense without the name.

    Variant 0 takes its words, 1 takes other words, 2 other words and only the beginning.
    """
    sentence = re.split(r"(?<=[a-z)])[.:](?:\s|$)", _first_paragraph(subject))[0]
    words = sentence.split()
    if words and words[0].lower() in ("a", "an", "the"):
        del words[0]
    if not words or sentence.count("(") != sentence.count(")"):
        return None
    first = words[0].lower()
    verb = next((form for form in (first, first.removesuffix("s")) if form in _VERBS), "")
    words[0] = verb or (first if words[0][1:].islower() else words[0])
    name = subject.name.rpartition(".")[2].lower()
    if first in _NO_BEGINNING or any(name in word.lower() for word in words[bool(verb) :]):
        return None
    if variant:
        words = [_OTHER_WORDS.get(word, word) for word in words]
    if variant == 2:
        words = words[:9]
        while words and words[-1].lower() in _LOOSE_ENDS:
            del words[-1]
    if not 4 <= len(words) <= 30:
        return None
    phrase = " ".join(words).rstrip(".,;:")
    return f"How do I {phrase}?" if verb else phrase[0].upper() + phrase[1:]


def _first_paragraph(subject: Documented) -> str:
    start = subject.text.find(subject.first_line)
    return subject.text[start:].split("\n\n")[0]


def _difficulty(question: str, text: str) -> str:
    """Return how hard a question is by the share of its terms that its answer has."""
    asked = set(terms(question)) - set(terms("How do I?"))
    share = len(asked & set(terms(text))) / len(asked) if asked else 0.0
    return "easy" if share >= 0.95 else "medium" if share >= 0.7 else "hard"
