from django.apps import AppConfig


class LabelingConfig(AppConfig):
    name = "labeling_app"
    verbose_name = "Labeling"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from datasets_app.services.curation.types import type_checks
        from datasets_app.services.versioning.erasing import content_erasers
        from datasets_app.services.versioning.label_sources import label_sources
        from labeling_app.services.erasing import erase_said
        from labeling_app.services.keys import check_type_keys
        from labeling_app.services.label_origins import adopted_labels

        if check_type_keys not in type_checks:
            type_checks.append(check_type_keys)
        if adopted_labels not in label_sources:
            label_sources.append(adopted_labels)
        if erase_said not in content_erasers:
            content_erasers.append(erase_said)
