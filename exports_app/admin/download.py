"""Download a whole version at once: JSON lines that are sent while they are read."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header

from datasets_app.admin.base import DatasetPage
from datasets_app.models import DatasetCommit
from datasets_app.services.versioning.refs import resolve
from exports_app.services.exporting import stream_version


class DownloadPage(DatasetPage):
    """Sends the version `?ref=` (default: the branch) to whoever may view, the same bytes as golden_export writes."""

    title = "Download"
    http_method_names = ("get", "options")  # a HEAD would be recorded as an export

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        ref = request.GET.get("ref", "").strip() or self.branch.name
        commit = resolve(self.dataset, ref, head=self.branch)
        response = StreamingHttpResponse(
            stream_version(dataset=self.dataset, commit=commit, actor=self.person),
            content_type="application/jsonl",
        )
        response["Content-Disposition"] = content_disposition_header(True, self._file_name(ref, commit))
        response["X-Accel-Buffering"] = "no"  # a proxy that collects it all first would show nothing for long
        return response

    def _file_name(self, ref: str, commit: DatasetCommit) -> str:
        is_tag = self.dataset.version_tags.filter(name=ref, commit=commit).exists()
        return f"{self.dataset.name}-{ref if is_tag else commit.short_hash}.jsonl".replace("/", "-")
