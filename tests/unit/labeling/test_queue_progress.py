"""The figures of a queue that labelers see."""

from __future__ import annotations

from labeling_app.services.queue_progress import QueueProgress


def test_coarse__queue_under_way__goes_in_steps() -> None:
    exact = QueueProgress(items=100, open=93, adopted=7, gone=3, labels=7, labels_wanted=100)
    assert exact.coarse() == QueueProgress(items=100, open=90, adopted=5, gone=3, labels=5, labels_wanted=100)


def test_coarse__long_queue__goes_in_hundredths() -> None:
    assert QueueProgress(items=1000, labels=1234, labels_wanted=2000).coarse().labels == 1220


def test_coarse__all_labels_there__is_exact() -> None:
    done = QueueProgress(items=7, adopted=7, labels=7, labels_wanted=7)
    assert done.coarse() == done
