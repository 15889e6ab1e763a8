"""A dataset of forty examples with one commit, and the clients that download it."""

from __future__ import annotations

import io
from typing import Any

from datasets_app.models import Dataset, ExampleType
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.importing import ImportOptions, import_file
from datasets_app.services.versioning.commits import commit
from datasets_app.services.versioning.refs import create_tag


def forty_cards(tag: str) -> Dataset:
    """Make the dataset “cards” with the tag `tag`."""
    text = ExampleType.objects.get(name="text_classification")
    made = create_dataset(name="cards", actor=None, default_type=text)
    lines = b"".join(
        b'{"id": "c%d", "input": {"text": "Question %d"}, "output": {"label": "l%d"}}\n' % (n, n, n % 2)
        for n in range(40)
    )
    import_file(branch=made.main, source=io.BytesIO(lines), actor=None, options=ImportOptions(format="jsonl"))
    commit(branch=made.main, message="Forty", actor=None)
    create_tag(dataset=made, name=tag, ref="main", actor=None)
    return made


def body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)
