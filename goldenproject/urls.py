"""The addresses of the whole site: each app names its own in its `urls` module."""

from __future__ import annotations

from importlib.util import find_spec

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView

from datasets_app.admin.help import help_urls
from datasets_app.admin.retrieval import search_urls
from datasets_app.api.site import NothingHere
from exports_app.admin.backups import backup_urls
from exports_app.admin.label_files import label_file_urls


def alive(_request: HttpRequest) -> HttpResponse:
    """Answer a load balancer's question whether this process serves."""
    return HttpResponse("ok\n", content_type="text/plain")


urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("healthz", alive, name="healthz"),
]
# the apps' addresses go before the admin's, which takes all that begins with admin/
for app in ("datasets_app", "labeling_app", "exports_app"):
    if find_spec(f"{app}.urls") is not None:
        urlpatterns.append(path("", include(f"{app}.urls")))
    if find_spec(f"{app}.api") is not None and find_spec(f"{app}.api.urls") is not None:
        urlpatterns.append(path("api/v1/", include(f"{app}.api.urls")))
urlpatterns.append(re_path(r"^api/v1/", NothingHere.as_view()))  # the API answers in its own shape there too
urlpatterns += [
    *help_urls(),
    *search_urls(),
    *backup_urls(),
    *label_file_urls(),
    path("admin/", admin.site.urls),
]
