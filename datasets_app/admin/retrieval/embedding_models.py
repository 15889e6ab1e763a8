"""Embedding models: which there are, how much of the corpus each knows, embedding, switching, registering, deleting."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from datasets_app.admin.corpus.base import text_of
from datasets_app.admin.jobs import job_address, visible_jobs
from datasets_app.admin.retrieval.charts import percent
from datasets_app.admin.retrieval.frame import RetrievalPage, number_in
from datasets_app.domain.roles import Action
from datasets_app.models import EmbeddingModel, JobRun, RetrievalRun
from datasets_app.services.access import may
from datasets_app.services.jobs import start_job
from datasets_app.services.retrieval.embedding_models import (
    Coverage,
    coverage,
    delete_model,
    register_model,
    switch_current,
    why_not_ready,
)
from datasets_app.services.retrieval.vector_index import SMALL, IndexState, index_state
from goldenproject.kit.errors import BadInput, NotFound

SHOWN_RUNS = 5
_INDEX_SHOWN = {
    IndexState.ABSENT: ("none", "pending"),
    IndexState.BROKEN: ("broken or under way", "failed"),
    IndexState.READY: ("ready", "completed"),
    IndexState.IMPOSSIBLE: ("too many dimensions", "pending"),
}
_INDEX_MEANS = {
    IndexState.ABSENT: "Searches compare with every vector until there are enough to build it.",
    IndexState.BROKEN: "A build was killed or is under way. Start the embedding: it builds the index again.",
    IndexState.READY: "Searches walk it.",
    IndexState.IMPOSSIBLE: "No index takes so many dimensions: every search compares with all vectors.",
}
PROVIDER_OPTIONS = {
    "minilm": "Needs no options and no network.",
    "openai": "base_url and model are needed; api_key_env names the environment variable that holds the key.",
    "sentence_transformers": "model is needed; the package sentence-transformers must be installed.",
}


@dataclass(frozen=True)
class ModelLine:
    """A model with what it knows of the corpus."""

    model: EmbeddingModel
    coverage: Coverage
    share: str
    index: str
    index_status: str
    index_means: str


def model_line(model: EmbeddingModel) -> ModelLine:
    """Return what is shown of a model; counts its vectors, which takes a pass over the chunks."""
    found = coverage(model)
    state = index_state(model)
    shown, status = _INDEX_SHOWN[state]
    if state is IndexState.ABSENT and found.stored < SMALL:
        shown, status = "not needed yet", "completed"
    return ModelLine(
        model,
        found,
        percent(found.embedded / found.texts if found.texts else 0.0),
        shown,
        status,
        _INDEX_MEANS[state],
    )


def model_address(model: EmbeddingModel, part: str = "change") -> str:
    return reverse(f"admin:datasets_app_embeddingmodel_{part}", args=[model.pk])


class ModelListPage(RetrievalPage):
    """The models; what each knows is counted by a piece of its own, since a big corpus takes seconds."""

    title = "Embedding models"
    template_name = "datasets_app/retrieval/model_list.html"
    http_method_names = ["get", "head", "options"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        models = EmbeddingModel.objects.order_by("-is_current", "name")
        return super().get_context_data(models=list(models), **kwargs)


class OneModelPage(RetrievalPage):
    """A page about one model."""

    model: EmbeddingModel

    def load(self, **kwargs: Any) -> None:
        number = number_in(kwargs["object_id"])
        found = EmbeddingModel.objects.filter(pk=number).first() if number is not None else None
        if found is None:
            raise NotFound("There is no such embedding model.", hint="It may have been deleted.")
        self.model = found
        self.title = self.title.format(found.name)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(line=model_line(self.model), model=self.model, **kwargs)


class CoveragePiece(OneModelPage):
    """The cells of the list that say what a model knows, and the state of its index."""

    template_name = "datasets_app/retrieval/model_cells.html"
    http_method_names = ["get", "head", "options"]


class ModelPage(OneModelPage):
    """A model; a POST starts its embedding."""

    title = "Embedding model {}"
    template_name = "datasets_app/retrieval/model.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        running = visible_jobs(self.person).filter(
            kind="embed",
            state__in=(JobRun.State.QUEUED, JobRun.State.RUNNING),
            arguments__model=self.model.name,
        )
        runs = (
            RetrievalRun.objects.filter(embedding_model=self.model.name)
            .select_related("corpus")
            .order_by("-pk")
        )
        return super().get_context_data(
            provider=self.model.get_provider_display(),
            options=json.dumps(self.model.options, indent=2, ensure_ascii=False)
            if self.model.options and may(self.person, Action.MANAGE)
            else "",
            jobs=[{"job": job, "address": job_address(job)} for job in running.order_by("-created_at")[:3]],
            runs=list(
                runs.only("pk", "name", "created_at", "query_count", "passed_count", "corpus__name")[
                    :SHOWN_RUNS
                ]
            ),
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        job = start_job(kind="embed", dataset=None, actor=self.person, arguments={"model": self.model.name})
        return HttpResponseRedirect(job_address(job))


class SwitchModelPage(OneModelPage):
    """Asks before searches use another model from one moment to the next."""

    title = "Switch to {}?"
    template_name = "datasets_app/retrieval/model_switch.html"
    action = Action.MANAGE
    write_action = Action.MANAGE

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        current = EmbeddingModel.objects.filter(is_current=True).first()
        reason = "" if self.model.is_current else why_not_ready(self.model)
        return super().get_context_data(current=current, reason=reason, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        switch_current(model=self.model, actor=self.person)
        listed = reverse("admin:datasets_app_embeddingmodel_changelist")
        return self.saved(f"Searches use the model “{self.model.name}” now.", listed)


class DeleteModelPage(OneModelPage):
    """Asks before a model goes with its vectors."""

    title = "Delete {}?"
    template_name = "datasets_app/retrieval/model_delete.html"
    action = Action.MANAGE
    write_action = Action.MANAGE

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        delete_model(model=self.model, actor=self.person)
        listed = reverse("admin:datasets_app_embeddingmodel_changelist")
        return self.saved(f"The model “{self.model.name}” and its vectors were deleted.", listed)


class RegisterModelPage(RetrievalPage):
    """A form; the model is asked for its dimension, so it must answer."""

    title = "Register an embedding model"
    template_name = "datasets_app/retrieval/model_add.html"
    action = Action.MANAGE
    write_action = Action.MANAGE

    def load(self, **kwargs: Any) -> None:
        typed = self.request.POST
        self.cells = {
            "name": text_of(typed, "name", 81),
            "provider": text_of(typed, "provider") or EmbeddingModel.Provider.OPENAI,
            "options": text_of(typed, "options", 20_000),
        }

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        providers = [
            (value, shown, PROVIDER_OPTIONS.get(value, ""))
            for value, shown in EmbeddingModel.Provider.choices
        ]
        return super().get_context_data(cells=self.cells, providers=providers, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        model = register_model(
            name=self.cells["name"],
            provider=self.cells["provider"],
            options=_options(self.cells["options"]),
            actor=self.person,
        )
        said = f"The model “{model.name}” answers with {model.dimension:,} dimensions. Its vectors are to be made."
        return self.saved(said, model_address(model))


def _options(text: str) -> dict[str, Any]:
    """Read the options that are typed as JSON. Raises BadInput."""
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadInput(
            f"Options: not JSON: {error}.", hint='For example {"base_url": "…", "model": "…"}.'
        ) from error
    if not isinstance(found, dict):
        raise BadInput(f"Options: found {text[:40]!r}, expected a JSON object.")
    return found
