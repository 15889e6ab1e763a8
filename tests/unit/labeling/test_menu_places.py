"""Which entry of the menu is lit on which page of labeling."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from labeling_app.admin.menu import at_label, at_queues, at_review

QUEUE = "0fcf8523-01a7-428d-8fec-34b87cd6e6bc"


@pytest.mark.parametrize(
    ("path", "lit"),
    [
        ("", "label"),
        (f"{QUEUE}/", "label"),
        ("keys/", "label"),
        ("review/", "review"),
        (f"{QUEUE}/review/", "review"),
        ("queues/", "queues"),
        ("new/", "queues"),
        (f"{QUEUE}/overview/", "queues"),
        (f"{QUEUE}/agreement/figures/", "queues"),
        ("webhooks/", ""),
    ],
)
def test_menu__on_a_page_of_labeling__lights_one_entry(path: str, lit: str) -> None:
    request = RequestFactory().get(f"/admin/label/{path}")
    found = {"label": at_label(request), "review": at_review(request), "queues": at_queues(request)}
    assert [name for name, is_lit in found.items() if is_lit] == ([lit] if lit else [])
