"""golden_redact tells what it erased of the labels."""

from __future__ import annotations

from django.contrib.auth.models import User

from datasets_app.models import Dataset
from tests.integration.commands.conftest import Run
from tests.integration.label_data import make_label, make_queue, make_session


def test_golden_redact__labeled_example__tells_what_was_erased_of_it(run: Run, emails: str) -> None:
    queue = make_queue(Dataset.objects.get(name=emails))
    for number, person in enumerate(("labeler", "second-labeler"), start=1):
        session = make_session(User.objects.create_user(person), queue)
        make_label(queue.items.order_by("position")[0], session, {"label": "x"}, slot=number)
    ran = run("golden_redact", emails, "a1", "--reason", "a name", "--yes")
    assert ran.out.splitlines() == [
        "Erased 1 content of “a1”, 1 working row and 2 rows of history.",
        "Of what was said about it: labels 2, label history 2, history 2.",
        "Backups made before still hold the text: make a new one and destroy those.",
    ]
    again = run("golden_redact", emails, "a1", "--reason", "a name", "--yes", "--json")
    assert again.error["code"] == "redacted"
