"""Corpora: made, renamed, described."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextareaWidget

from datasets_app.admin.corpus.base import CorpusAdmin
from datasets_app.admin.versioning.object_history import ObjectHistoryMixin
from datasets_app.models import Corpus
from datasets_app.services.corpus.corpora import create_corpus, update_corpus


class CorpusForm(forms.ModelForm):
    class Meta:
        model = Corpus
        fields = ("name", "description")
        widgets = {"description": UnfoldAdminTextareaWidget(attrs={"rows": 3})}
        help_texts = {"name": "Commands and the API use it. Search and evaluation stay within one corpus."}


class CorporaAdmin(ObjectHistoryMixin, CorpusAdmin):
    form = CorpusForm
    list_display = ("name", "description", "created_at")
    search_fields = ("name", "description")
    fields = CorpusForm.Meta.fields

    def save_model(self, request: HttpRequest, obj: Corpus, form: Any, change: bool) -> None:
        values = {"name": obj.name, "description": obj.description}
        if change:
            update_corpus(corpus=obj, actor=request.user, **values)
        else:
            obj.pk = create_corpus(actor=request.user, **values).pk
