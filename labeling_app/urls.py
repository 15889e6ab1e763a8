"""The pages of labeling, under /admin/label/."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
