from django.apps import AppConfig


class ExportsConfig(AppConfig):
    name = "exports_app"
    verbose_name = "Exports and backups"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from datasets_app.services.versioning.redacting import content_redacted
        from exports_app.services.kept_exports import forget_all

        content_redacted.connect(forget_all, dispatch_uid="forget kept exports")
