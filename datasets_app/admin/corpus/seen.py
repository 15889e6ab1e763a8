"""Two people at one form: what a person saw rides along, and is compared under the lock with what is there now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.http import HttpRequest

from datasets_app.admin.example_edit import shown_changes
from datasets_app.domain.canonical import canonical_text, same_json
from datasets_app.domain.json_path import MISSING
from datasets_app.domain.roles import Action
from datasets_app.domain.strict_json import loads_strict
from datasets_app.errors import EditConflict
from datasets_app.models import Corpus
from datasets_app.services.corpus.changing import changing
from goldenproject.kit.errors import BadInput, GoldenError

FIELD = "seen"


class ChangedMeanwhile(EditConflict):
    """Somebody else changed this while you had it open."""

    def __init__(self, current: Any) -> None:
        super().__init__(hint="Nothing of yours was saved yet: check it and save again.")
        self.current = current


def seen_text(document: Any) -> str:
    """Return what the hidden field of a form says: the state that the form shows."""
    return canonical_text(document)


def seen_in(request: HttpRequest) -> Any:
    """Return the state that the form showed when it was drawn. Raises BadInput."""
    try:
        return loads_strict(request.POST.get(FIELD, "").encode())
    except GoldenError as error:
        raise BadInput("The form does not say which state it shows.", hint="Load the page again.") from error


@contextmanager
def writing(corpus: Corpus, actor: Any, reason: str) -> Iterator[None]:
    """Run the block as the one writer of a corpus: what is read in it is still so when a service writes."""
    with changing(corpus=corpus, actor=actor, action=Action.EDIT, reason=reason):
        yield


def refuse_changed(seen: Any, load: Callable[[], Any]) -> None:
    """Raise ChangedMeanwhile unless what `load` finds now is what the person saw; ask inside `writing`."""
    current = load()
    if not same_json(seen, current):
        raise ChangedMeanwhile(current)


def merged(seen: Any, current: Any, mine: Any) -> Any:
    """Return `mine` on top of what is there now: what the person left as it was seen is as somebody else made it.

    Objects are merged key by key; MISSING stands for a key that is not there.
    """
    if not all(isinstance(one, dict) for one in (seen, current, mine)):
        return current if same_or_missing(seen, mine) else mine
    both = {
        key: merged(seen.get(key, MISSING), current.get(key, MISSING), mine.get(key, MISSING))
        for key in {**current, **mine}
    }
    return {key: value for key, value in both.items() if value is not MISSING}


def same_or_missing(left: Any, right: Any) -> bool:
    if left is MISSING or right is MISSING:
        return left is right
    return same_json(left, right)


def two_versions(seen: Any, current: Any, mine: Any) -> dict[str, Any]:
    """Return what datasets_app/corpus/conflict.html shows: what was saved meanwhile, and what mine would change of it."""
    return {
        "conflict": True,
        "their_changes": shown_changes(_named(seen), _named(current)),
        "my_changes": shown_changes(_named(current), _named(mine)),
    }


def _named(document: Any) -> dict[str, Any]:
    return document if isinstance(document, dict) else {"": document}
