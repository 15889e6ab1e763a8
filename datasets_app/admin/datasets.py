"""Datasets: their list, their settings with the members, and the addresses of all pages about one dataset."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from datasets_app.admin.base import EXTRA_PAGES, DatasetPage, chosen_branch, dataset_context
from datasets_app.admin.examples import BulkPage, ExamplesPage
from datasets_app.admin.imports import ColumnsPage, PreviewPage, RefusedRowsPage, UploadPage
from datasets_app.admin.saved_views import SavedViewsPage
from datasets_app.admin.summaries import state_of, with_summary
from datasets_app.admin.versioning import ObjectHistoryMixin, versioning_urls
from datasets_app.domain.roles import Action
from datasets_app.models import Dataset, Membership
from datasets_app.services.access import allowed_datasets, may, may_somewhere, record, require
from datasets_app.services.curation.datasets import create_dataset, update_dataset
from goldenproject.kit.admin import ConsoleAdmin

_STATE_TONES = {"tagged": 2, "committed": 1, "draft": 3, "empty": 0, "archived": 0}


class MembershipInline(TabularInline):  # type: ignore[misc]
    """Who has which role in this dataset: a user or a group."""

    model = Membership
    fields = ("user", "group", "role")
    extra = 0
    verbose_name = "member"
    verbose_name_plural = "members"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is not None and may(request.user, Action.MANAGE, obj)

    has_add_permission = has_view_permission
    has_change_permission = has_view_permission
    has_delete_permission = has_view_permission


class DatasetForm(forms.ModelForm):
    class Meta:
        model = Dataset
        fields = ("name", "description", "default_type", "tags", "parent_version", "metadata", "is_active")
        labels = {"default_type": "Type of examples", "parent_version": "Start from", "is_active": "Active"}
        help_texts = {
            "default_type": "Imported rows and new examples are of this type unless told otherwise.",
            "tags": "Keywords, separated by commas.",
            "parent_version": "DATASET@REF: copy the examples of that version. Leave it empty to start with nothing.",
            "metadata": "A JSON object for whatever your tools want to keep here.",
            "is_active": "An archived dataset stays readable.",
        }
        widgets = {
            "description": UnfoldAdminTextareaWidget(attrs={"rows": 3}),
            "tags": UnfoldAdminTextInputWidget(),
            "metadata": UnfoldAdminTextareaWidget(
                attrs={"rows": 3, "class": "gd-mono", "spellcheck": "false"}
            ),
        }


class DatasetAdmin(ObjectHistoryMixin, ConsoleAdmin):
    form = DatasetForm
    list_display = ("named", "state", "examples", "quality", "changes", "version_shown")
    list_display_links = None
    search_fields = ("name", "description")
    ordering = ("name",)
    inlines = (MembershipInline,)
    change_form_outer_before_template = "datasets_app/dataset_header.html"

    # --- rights
    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request.user, Action.VIEW, obj) if obj else may_somewhere(request.user, Action.VIEW)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Action.EDIT)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request.user, Action.EDIT, obj) if obj else may_somewhere(request.user, Action.EDIT)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dataset]:
        return with_summary(allowed_datasets(request.user, Action.VIEW))

    # --- list
    @staticmethod
    def _link(dataset: Dataset, text: str) -> SafeString:
        address = reverse("admin:datasets_app_dataset_examples", args=[dataset.pk])
        return format_html('<a class="gd-link" href="{}">{}</a>', address, text)

    def named(self, dataset: Dataset) -> SafeString:
        return self._link(dataset, dataset.name)

    named.short_description = "Name"  # type: ignore[attr-defined]

    def state(self, dataset: Dataset) -> SafeString:
        word = state_of(dataset)
        return format_html('<span class="gd-chip gd-tone-{}">{}</span>', _STATE_TONES[word], word)

    def examples(self, dataset: Dataset) -> str:
        return f"{dataset.example_rows:,}"  # type: ignore[attr-defined]

    def quality(self, dataset: Dataset) -> str:
        return "—" if dataset.quality_score is None else f"{dataset.quality_score:.0f}"

    def changes(self, dataset: Dataset) -> SafeString | str:
        if not dataset.has_changes:  # type: ignore[attr-defined]
            return "committed" if dataset.last_commit_at else "—"  # type: ignore[attr-defined]
        address = reverse("admin:datasets_app_dataset_changes", args=[dataset.pk])
        return format_html(
            '<a class="gd-dirty" href="{}"><span class="gd-dirty-dot"></span>uncommitted</a>', address
        )

    def version_shown(self, dataset: Dataset) -> str:
        return dataset.newest_tag or "—"  # type: ignore[attr-defined]

    version_shown.short_description = "Version"  # type: ignore[attr-defined]

    # --- form
    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "default_type" and field is not None:
            field.empty_label = "Any type"
        return field

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "default_type":  # types have a place of their own, not a window from here
            for link in ("can_add_related", "can_change_related", "can_delete_related", "can_view_related"):
                setattr(field.widget, link, False)
        return field

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        fields = ["name", "description", "default_type", "tags"]
        return [*fields, "metadata", "is_active"] if obj else [*fields, "parent_version"]

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj is not None else ()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponseBase:
        dataset = self.get_object(request, object_id)
        frame = {}
        if dataset is not None:
            branch = chosen_branch(dataset, None)
            frame = dataset_context(request.user, dataset, branch, "settings")
        context = {**(extra_context or {}), **frame}
        return super().change_view(request, object_id, form_url, context)  # type: ignore[no-any-return]

    def save_model(self, request: HttpRequest, obj: Dataset, form: Any, change: bool) -> None:
        values = form.cleaned_data
        if change:
            changed = {name: values[name] for name in form.changed_data if name in values}
            if changed:
                update_dataset(dataset=obj, actor=request.user, **changed)
            return
        made = create_dataset(
            name=values["name"],
            description=values["description"],
            default_type=values["default_type"],
            tags=values["tags"],
            parent_version=values["parent_version"],
            actor=request.user,
        )
        obj.pk = made.pk
        obj.refresh_from_db()

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        require(request.user, Action.MANAGE, form.instance)
        formset.save()
        if formset.has_changed():
            members = ", ".join(f"{m.user or m.group}: {m.role}" for m in form.instance.memberships.all())
            record(request.user, "members.change", form.instance, members)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        address = reverse("admin:datasets_app_dataset_examples", args=[obj.pk])
        return super().response_add(request, obj, post_url_continue or address)

    def response_post_save_add(self, request: HttpRequest, obj: Any) -> Any:
        return HttpResponseRedirect(reverse("admin:datasets_app_dataset_examples", args=[obj.pk]))

    # --- addresses
    def get_urls(self) -> list[URLPattern]:
        return [*_page_urls(self), *versioning_urls(self), *super().get_urls()]


_PAGES = (
    ("examples/", "examples", ExamplesPage),
    ("examples/bulk/", "bulk", BulkPage),
    ("views/", "views", SavedViewsPage),
    ("import/", "import", UploadPage),
    ("import/<str:token>/columns/", "import_columns", ColumnsPage),
    ("import/<uuid:batch_id>/", "import_preview", PreviewPage),
    ("import/<uuid:batch_id>/refused/", "import_refused", RefusedRowsPage),
)


def _page_urls(model_admin: Any) -> list[URLPattern]:
    wrap = model_admin.admin_site.admin_view
    extra = tuple((one.address, name, one.page) for name, one in EXTRA_PAGES.items())
    pages: tuple[tuple[str, str, type[DatasetPage]], ...] = (*_PAGES, *extra)
    return [
        path(
            f"<uuid:dataset_id>/{address}",
            wrap(page.as_view(model_admin=model_admin)),
            name=f"datasets_app_dataset_{name}",
        )
        for address, name, page in pages
    ]
