from django.apps import AppConfig


class ExportsConfig(AppConfig):
    name = "exports_app"
    verbose_name = "Exports and backups"
    default_auto_field = "django.db.models.BigAutoField"
