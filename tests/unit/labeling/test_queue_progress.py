"""The figures of a queue that labelers see."""

from __future__ import annotations

import pytest

from labeling_app.services.queue_progress import QueueProgress


def test_coarse__queue_under_way__goes_in_steps() -> None:
    exact = QueueProgress(items=100, open=93, adopted=7, gone=3, labels=7, labels_wanted=100, checks=4)
    assert exact.coarse() == QueueProgress(
        items=100, open=90, labeled=10, gone=3, labels=10, labels_wanted=100
    )


@pytest.mark.parametrize("labels", range(4, 12))
def test_coarse__an_answer_to_a_check_or_to_another__looks_the_same(labels: int) -> None:
    ordinary = QueueProgress(items=9, open=9, labels=labels + 1, labels_wanted=18, checks=2)
    check = QueueProgress(items=9, open=9, labels=labels, labels_wanted=18, checks=3)
    assert ordinary.coarse() == check.coarse()


def test_coarse__only_checks_make_it_whole__something_is_open() -> None:
    found = QueueProgress(items=10, open=1, adopted=9, labels=9, labels_wanted=10, checks=5).coarse()
    assert (found.open, found.labels) == (5, 5)


def test_coarse__long_queue__goes_in_hundredths() -> None:
    assert QueueProgress(items=1000, labels=1234, labels_wanted=2000).coarse().labels == 1220


def test_coarse__all_labels_there__is_exact() -> None:
    done = QueueProgress(items=7, adopted=7, labels=7, labels_wanted=7)
    assert done.coarse() == QueueProgress(items=7, labeled=7, labels=7, labels_wanted=7)
    assert QueueProgress().coarse() == QueueProgress()
