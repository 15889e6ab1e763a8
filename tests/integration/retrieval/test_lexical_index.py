"""The lexical index: whatever the history of edits, it answers as one made anew; readers never wait nor see halves."""

from __future__ import annotations

import random
import threading

import pytest
from django.db import connection, transaction

from datasets_app.models import Analysis, ChangedChunk, Chunk, Corpus, LexicalSegment, LexicalTerm
from datasets_app.services.retrieval import lexical_index
from datasets_app.services.retrieval.lexical_index import rebuild, refresh, refresh_if_few
from datasets_app.services.retrieval.lexical_search import LegHit, lexical_many, lexical_top
from tests.integration.retrieval.retrieval_data import add_chunks, chunk_id, make_analysis, make_corpus

WORDS = ["cat", "dog", "cow", "sun", "moon", "rain", "tree", "leaf"]


def text(chance: random.Random) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randrange(1, 9)))


def answers(corpus: Corpus) -> list[list[LegHit]]:
    return lexical_many(corpus, [*WORDS, "cat dog moon", "tree tree leaf", "nosuch"], 5)


def edit(chance: random.Random, analyses: list[Analysis], step: int) -> None:
    """One edit of the kinds that people and imports make, past all services."""
    kind = chance.randrange(6)
    analysis = chance.choice(analyses)
    chunks = list(Chunk.objects.filter(analysis__in=analyses))
    if kind <= 1 or not chunks:
        add_chunks(analysis, [text(chance) for _ in range(chance.randrange(1, 5))], first=1000 + 10 * step)
    elif kind == 2:
        Chunk.objects.filter(pk=chance.choice(chunks).pk).update(content=text(chance))
    elif kind == 3:
        Chunk.objects.filter(
            pk__in=[chunk.pk for chunk in chance.sample(chunks, min(3, len(chunks)))]
        ).delete()
    elif kind == 4:
        analysis.status = chance.choice(["completed", "failed"])
        analysis.save()
    else:
        Chunk.objects.filter(pk=chance.choice(chunks).pk).update(analysis=chance.choice(analyses))


@pytest.mark.django_db
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_refresh__any_sequence_of_edits__answers_as_a_fresh_index(seed: int) -> None:
    chance = random.Random(seed)
    corpus, other = make_corpus(), make_corpus("other")
    analyses = [make_analysis(corpus, "one"), make_analysis(corpus, "two"), make_analysis(other, "three")]
    add_chunks(analyses[0], [text(chance) for _ in range(12)])
    for step in range(30):
        edit(chance, analyses, step)
        if chance.random() < 0.7:
            refresh(corpus)
        if step % 10 == 9:
            refresh(corpus)
            grown = answers(corpus)
            rebuild(corpus)
            assert answers(corpus) == grown
    golden = Chunk.objects.filter(analysis__corpus=corpus, analysis__status="completed").count()
    assert sum(LexicalSegment.objects.filter(corpus=corpus).values_list("chunk_count", flat=True)) == golden


@pytest.mark.django_db
def test_refresh__many_single_edits__segments_stay_few_and_terms_of_old_ones_go() -> None:
    corpus = make_corpus()
    analysis = make_analysis(corpus)
    for number in range(1, 23):
        add_chunks(analysis, [f"word{number} and cat"], first=number)
        assert refresh(corpus).looked_at == 1
    segments = LexicalSegment.objects.filter(corpus=corpus)
    assert segments.count() <= 6
    assert {hit.chunk_id for hit in lexical_top(corpus, "cat", 100)} == {chunk_id(n) for n in range(1, 23)}
    assert set(LexicalTerm.objects.values_list("segment_id", flat=True)) == set(
        segments.values_list("id", flat=True)
    )
    assert not ChangedChunk.objects.exists()


@pytest.mark.django_db
def test_refresh__more_chunks_than_a_round__several_segments_one_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lexical_index, "_ROUND", 7)
    monkeypatch.setattr(lexical_index, "_READ_CHUNKS", 2)
    corpus = make_corpus()
    add_chunks(make_analysis(corpus), [f"cat {'sun ' * (number % 3)}" for number in range(30)])
    told: list[tuple[int, int]] = []
    report = refresh(corpus, progress=lambda done, total: told.append((done, total)))
    assert (report.looked_at, report.indexed) == (30, 30)
    assert told == [(7, 30), (14, 30), (21, 30), (28, 30), (30, 30)]
    grown = answers(corpus)
    monkeypatch.undo()
    rebuild(corpus)
    assert answers(corpus) == grown


@pytest.mark.django_db
def test_refresh__everything_deleted__empty_index() -> None:
    corpus = make_corpus()
    add_chunks(make_analysis(corpus), ["cat"])
    refresh(corpus)
    Chunk.objects.all().delete()
    refresh(corpus)
    assert lexical_top(corpus, "cat", 5) == []
    assert not LexicalSegment.objects.exists()
    assert not LexicalTerm.objects.exists()


@pytest.mark.django_db
def test_lexical_top__transaction_rolled_back_after_a_search__answers_as_before() -> None:
    corpus = make_corpus()
    add_chunks(make_analysis(corpus), ["cat one", "cat two", "cat three", "cat four", "cat five", "cat six"])
    refresh(corpus)
    before = lexical_top(corpus, "cat", 10)
    for gone in (1, 2):
        with transaction.atomic():
            Chunk.objects.filter(pk=chunk_id(gone)).delete()
            refresh(corpus)
            assert chunk_id(gone) not in {hit.chunk_id for hit in lexical_top(corpus, "cat", 10)}
            transaction.set_rollback(True)
        assert lexical_top(corpus, "cat", 10) == before


@pytest.mark.django_db
def test_refresh_if_few__nothing_changed__one_query(django_assert_num_queries) -> None:
    corpus = make_corpus()
    add_chunks(make_analysis(corpus), ["cat"])
    refresh(corpus)
    with django_assert_num_queries(1):
        assert refresh_if_few(corpus) == ""


@pytest.mark.fault
def test_refresh_if_few__another_refreshes__reader_gets_the_state_before_at_once(committed_db: str) -> None:
    corpus = make_corpus()
    analysis = make_analysis(corpus)
    add_chunks(analysis, ["cat one"])
    refresh(corpus)
    add_chunks(analysis, ["cat two"], first=2)
    refreshed, go_on = threading.Event(), threading.Event()

    def slow_refresh() -> None:
        with transaction.atomic():
            refresh(corpus)
            refreshed.set()
            go_on.wait(30)
        connection.close()

    thread = threading.Thread(target=slow_refresh)
    thread.start()
    assert refreshed.wait(30)
    try:
        assert refresh_if_few(corpus) == ""  # does not wait for the other
        assert [hit.chunk_id for hit in lexical_top(corpus, "cat", 5)] == [chunk_id(1)]
    finally:
        go_on.set()
        thread.join()
    assert [hit.chunk_id for hit in lexical_top(corpus, "cat", 5)] == [chunk_id(1), chunk_id(2)]
