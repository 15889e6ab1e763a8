"""Long pieces of work with their progress: a list, and a page that follows one of them."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from datasets_app.domain.roles import Action
from datasets_app.models import JobRun
from datasets_app.services.access import allowed_datasets, may, may_somewhere
from datasets_app.services.jobs import JobKind, UnknownJobKind, kind_of, start_job
from goldenproject.kit.admin import ConsoleAdmin, ConsolePage
from goldenproject.kit.errors import GoldenError, NotFound

_SHOWN_AS = {"queued": "pending", "running": "running", "done": "validated", "failed": "rejected"}
_STARTED_HERE = ("backup", "verify")


def visible_jobs(person: Any) -> QuerySet[JobRun]:
    """Return the jobs of the datasets that a person may see, and their own; all of them to who manages the site."""
    jobs = JobRun.objects.select_related("dataset", "started_by")
    if may(person, Action.MANAGE):
        return jobs
    return jobs.filter(Q(dataset__in=allowed_datasets(person, Action.VIEW)) | Q(started_by=person.pk))


def job_address(job: JobRun) -> str:
    """Return the address of the page that follows a job."""
    return reverse("admin:datasets_app_jobrun_change", args=[job.pk])


def _known(name: str) -> JobKind | None:
    try:
        return kind_of(name)
    except UnknownJobKind:
        return None


def title_of(job: JobRun) -> str:
    kind = _known(job.kind)
    return kind.title if kind else job.kind


class JobPage(ConsolePage):
    """One job: its state, how far it is, and its result or its error."""

    title = "Job"
    template_name = "datasets_app/jobs/job.html"
    job: JobRun

    def prepare(self, **kwargs: Any) -> None:
        # without a join: a restore holds the datasets for itself, and its own page must go on moving
        found = visible_jobs(self.person).select_related(None).filter(pk=kwargs["job_id"]).first()
        if found is None:
            raise NotFound("There is no such job that you may see.")
        self.job = found

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        job = self.job
        took = None
        if job.started_at and job.finished_at:
            took = f"{(job.finished_at - job.started_at).total_seconds():.1f} s"
        return super().get_context_data(
            job=job,
            kind_title=title_of(job),
            state_shown=_SHOWN_AS[job.state],
            is_running=job.state == JobRun.State.RUNNING,
            is_over=job.state in (JobRun.State.DONE, JobRun.State.FAILED),
            facts=self._facts(),
            links=self._links(),
            took=took,
            **kwargs,
        )

    def _facts(self) -> list[tuple[str, str]]:
        kind = _known(self.job.kind)
        if kind and kind.facts and self.job.state == JobRun.State.DONE:
            return kind.facts(self.job)
        return _facts(self.job.result)

    def _links(self) -> list[tuple[str, str]]:
        job = self.job
        kind = _known(job.kind)
        if job.state != JobRun.State.DONE:
            return []
        made = kind.links(job) if kind else []
        if made or job.dataset is None:
            return made
        examples = reverse("admin:datasets_app_dataset_examples", args=[job.dataset.pk])
        if job.kind == "import_apply":
            batch = reverse(
                "admin:datasets_app_dataset_import_preview", args=[job.dataset.pk, job.arguments["batch"]]
            )
            return [("See the import", batch), ("Examples", examples)]
        if job.kind == "open_worktree":
            return [("Edit examples", f"{examples}?branch={job.arguments['branch']}")]
        return [("Examples", examples)]


class StartJob(ConsolePage):
    """Starts a job that is about everything, and leads to its page."""

    title = "Jobs"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            job = start_job(kind=kwargs["kind"], dataset=None, actor=self.person)
        except GoldenError as error:
            return self.error_page(error)  # type: ignore[return-value]
        return HttpResponseRedirect(job_address(job))


class JobProgress(JobPage):
    """The moving part of the page, which asks for itself again until the job is over."""

    template_name = "datasets_app/jobs/progress.html"


def _facts(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (name.replace("_", " ").capitalize(), _plain(value))
        for name, value in result.items()
        if name != "error" and value not in (None, "", [], {})
    ]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    return str(value)


class JobRunAdmin(ConsoleAdmin):
    """A person sees the jobs of the datasets that they may see, and their own."""

    list_display = ("named", "of_dataset", "state_shown", "progress", "started_by", "created_at")
    list_display_links = None
    list_filter = ("state",)
    list_select_related = ("dataset", "started_by")
    ordering = ("-created_at",)
    list_before_template = "datasets_app/jobs/start.html"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        startable = [kind for kind in map(_known, _STARTED_HERE) if kind and may(request.user, kind.action)]
        context = {**(extra_context or {}), "startable": startable}
        return super().changelist_view(request, context)  # type: ignore[no-any-return]

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        pages = [
            path(
                "<uuid:job_id>/change/",
                wrap(JobPage.as_view(model_admin=self)),
                name="datasets_app_jobrun_change",
            ),
            path(
                "<uuid:job_id>/progress/",
                wrap(JobProgress.as_view(model_admin=self)),
                name="datasets_app_jobrun_progress",
            ),
            path(
                "start/<slug:kind>/",
                wrap(StartJob.as_view(model_admin=self)),
                name="datasets_app_jobrun_start",
            ),
        ]
        # the unnamed one redirects to the stock change page, which is not there
        stock = [url for url in super().get_urls() if url.name not in ("datasets_app_jobrun_change", None)]
        return [*pages, *stock]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_somewhere(request.user, Action.VIEW)

    def get_queryset(self, request: HttpRequest) -> QuerySet[JobRun]:
        return visible_jobs(request.user)

    def named(self, job: JobRun) -> SafeString:
        return format_html('<a class="gd-link" href="{}">{}</a>', job_address(job), title_of(job))

    named.short_description = "Job"  # type: ignore[attr-defined]

    def of_dataset(self, job: JobRun) -> str:
        return job.dataset.name if job.dataset else "—"

    of_dataset.short_description = "Dataset"  # type: ignore[attr-defined]

    def state_shown(self, job: JobRun) -> SafeString:
        return format_html('<span class="gd-status gd-status-{}">{}</span>', _SHOWN_AS[job.state], job.state)

    state_shown.short_description = "State"  # type: ignore[attr-defined]

    def progress(self, job: JobRun) -> str:
        if job.total:
            return f"{job.done:,} of {job.total:,}"
        return f"{job.done:,}" if job.done else "—"
