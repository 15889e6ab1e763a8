"""The addresses of labeling in the API, under /api/v1/labeling/."""

from __future__ import annotations

from django.urls import URLPattern

app_name = "labeling_api"

urlpatterns: list[URLPattern] = []
