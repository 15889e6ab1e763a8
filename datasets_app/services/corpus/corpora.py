"""Corpora: found by name, made, described."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from datasets_app.domain.roles import Action
from datasets_app.errors import UnknownCorpus
from datasets_app.models import Corpus
from datasets_app.models.corpus import DEFAULT_CORPUS
from datasets_app.services.access import record
from datasets_app.services.corpus.changing import allow
from datasets_app.services.corpus.drafts import text_trouble
from goldenproject.kit.audit import acting
from goldenproject.kit.errors import BadInput, Conflict
from goldenproject.kit.retries import retried


def get_corpus(name: str | None = None) -> Corpus:
    """Return the corpus of this name. Without a name: the default one, else the only one, else the default one is made.

    Raises UnknownCorpus, which names those there are.
    """
    if name is None:
        named = list(Corpus.objects.filter(name=DEFAULT_CORPUS)) or list(Corpus.objects.all()[:2])
        return named[0] if len(named) == 1 else default_corpus()
    corpus = Corpus.objects.filter(name=name).first()
    if corpus is None:
        names = list(Corpus.objects.order_by("name").values_list("name", flat=True)[:20])
        hint = f"Corpora: {', '.join(names)}." if names else "There is none yet."
        raise UnknownCorpus(f"There is no corpus “{name}”.", hint=hint, name=name)
    return corpus


def default_corpus() -> Corpus:
    """Return the default corpus, into which goes what names no other; it is made when there is none yet."""
    return Corpus.objects.get_or_create(name=DEFAULT_CORPUS)[0]


@retried()
def create_corpus(*, name: str, description: str = "", actor: Any) -> Corpus:
    """Make an empty corpus. Raises Conflict when the name is taken, BadInput when it cannot be a name."""
    allow(actor, Action.EDIT)
    corpus = Corpus(name=_checked_name(name), description=_checked_description(description))
    with acting(actor, f"create corpus {corpus.name}"):
        _save(corpus)
        record(actor, "corpus.create", None, corpus.name, corpus=str(corpus.pk))
    return corpus


@retried()
def update_corpus(
    *, corpus: Corpus, actor: Any, name: str | None = None, description: str | None = None
) -> Corpus:
    """Rename or describe a corpus. Raises Conflict when the name is taken, BadInput when it cannot be a name."""
    allow(actor, Action.EDIT)
    with acting(actor, "edit corpus"):
        current = Corpus.objects.select_for_update().get(pk=corpus.pk)
        if name is not None:
            current.name = _checked_name(name)
        if description is not None:
            current.description = _checked_description(description)
        _save(current)
        record(actor, "corpus.update", None, current.name, corpus=str(current.pk))
    return current


def _save(corpus: Corpus) -> None:
    try:
        with transaction.atomic():
            corpus.save()
    except IntegrityError as error:
        raise Conflict(f"There is a corpus “{corpus.name}” already.", hint="Choose another name.") from error


def _checked_name(name: str) -> str:
    checked = name.strip()
    if not 1 <= len(checked) <= 120:
        raise BadInput(f"A corpus' name has 1 to 120 characters; this one has {len(checked)}.")
    if not checked.isprintable():
        raise BadInput("A corpus' name cannot hold control characters.")
    return checked


def _checked_description(description: str) -> str:
    trouble = text_trouble(description)
    if trouble:
        raise BadInput(f"The description: found {trouble[0]}, expected {trouble[1]}.")
    return description
