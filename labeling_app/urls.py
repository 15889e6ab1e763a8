"""The pages of labeling, under /admin/label/."""

from __future__ import annotations

from django.urls import URLPattern

# from labeling_app.console.base import label_page; each page: label_page("<uuid:queue_id>/gold/", GoldPage, "label_gold")
urlpatterns: list[URLPattern] = []
