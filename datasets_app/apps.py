from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    name = "datasets_app"
    verbose_name = "Golden datasets"
    default_auto_field = "django.db.models.BigAutoField"
