"""The form of a queue: its fields in words of people (percent, minutes), read from and turned into QueueOptions."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models import Q

from datasets_app.admin.filters import known_classes
from datasets_app.domain.roles import Action, roles_that_may
from datasets_app.models import Branch, Dataset, ExampleType, ValidationStatus
from goldenproject.kit.errors import BadInput
from labeling_app.domain.answer_fields import answer_fields
from labeling_app.domain.answers import schema_at
from labeling_app.models import LabelingQueue
from labeling_app.services.queue_filters import TIERS

SHOWN_PEOPLE = 300
OFFERED_CLASSES = 100
_INPUT, _SELECT, _AREA = {"class": "gd-input"}, {"class": "gd-select"}, {"class": "gd-textarea"}
_NUMBER = {**_INPUT, "inputmode": "decimal", "autocomplete": "off"}

ORDER_WORDS = {
    "sequence": "As the examples were imported.",
    "random": "Shuffled; the same seed gives the same order.",
    "priority": "A number in each example says how urgent it is.",
    "least_confident": "First what a model trained on the labels so far is least sure of.",
    "most_disagreeing": "First where labelers, or models, contradict each other.",
    "most_diverse": "First what is least like anything labeled so far, by its embedding.",
}
METHOD_WORDS = {
    "majority": "What most labelers say.",
    "weighted": "Those who are right more often count more.",
    "dawid_skene": "Learns each labeler's errors from all labels; for three or more labelers each.",
    "crowdlab": "Weighs labelers against a model that learned from the labels.",
    "mean": "For numbers: their mean.",
    "median": "For numbers: the middle one; an outlier moves nothing.",
    "trimmed_mean": "For numbers: the mean without the extremes.",
}
ADOPTS_WORDS = {
    "unanimous": "The answer goes into the working copy by itself when all say the same; anything else goes to review.",
    "consensus": "It goes in when at least the share below is behind it.",
    "never": "Nothing goes in by itself.",
}


class QueueForm(forms.Form):
    """What a curator says of a queue. `dataset`, `branch` and `example_type` are chosen before; they fix the choices.

    With `queue` it changes that queue, whose branch, type and field stay as they are.
    """

    name = forms.CharField(max_length=200, label="Name", widget=forms.TextInput(_INPUT))
    field_path = forms.ChoiceField(required=False, label="What is asked", widget=forms.Select(_SELECT))
    choices = forms.CharField(
        required=False,
        max_length=20_000,
        label="Answers offered",
        widget=forms.Textarea({**_AREA, "rows": 5, "spellcheck": "false"}),
        help_text="One a line, in this order; each gets a button and a key.",
    )
    status = forms.MultipleChoiceField(
        required=False,
        choices=ValidationStatus.choices,
        label="Status",
        widget=forms.CheckboxSelectMultiple(),
    )
    tier = forms.MultipleChoiceField(
        required=False,
        choices=[(tier, tier) for tier in TIERS],
        label="Quality tier",
        widget=forms.CheckboxSelectMultiple(),
    )
    tags = forms.CharField(
        required=False,
        max_length=2000,
        label="Marks",
        widget=forms.TextInput({**_INPUT, "placeholder": "any; several by commas"}),
    )
    text = forms.CharField(
        required=False,
        max_length=500,
        label="Text",
        widget=forms.TextInput({**_INPUT, "placeholder": "words that the example holds"}),
    )
    overlap = forms.IntegerField(
        min_value=1,
        max_value=50,
        label="Labelers for each example",
        widget=forms.NumberInput({**_INPUT, "min": 1, "max": 50}),
        help_text="Two or more make agreement measurable; nobody sees what others said.",
    )
    users = forms.MultipleChoiceField(required=False, label="People", widget=forms.CheckboxSelectMultiple())
    groups = forms.MultipleChoiceField(required=False, label="Groups", widget=forms.CheckboxSelectMultiple())
    order = forms.ChoiceField(choices=LabelingQueue.Order.choices, label="Order", widget=forms.RadioSelect())
    seed = forms.IntegerField(
        required=False,
        min_value=-(2**31),
        max_value=2**31 - 1,
        label="Seed",
        widget=forms.TextInput(_NUMBER),
        help_text="Of the random order and of the gold checks.",
    )
    priority_field = forms.CharField(
        required=False,
        max_length=200,
        label="Priority field",
        widget=forms.TextInput({**_INPUT, "placeholder": "metadata.priority"}),
        help_text="The greatest comes first.",
    )
    adopts = forms.ChoiceField(
        choices=LabelingQueue.Adopts.choices, label="Adopt", widget=forms.RadioSelect()
    )
    consensus_method = forms.ChoiceField(
        choices=LabelingQueue.Method.choices, label="Consensus by", widget=forms.Select(_SELECT)
    )
    threshold_percent = forms.DecimalField(
        min_value=Decimal("0.1"),
        max_value=100,
        max_digits=4,
        decimal_places=1,
        label="Share behind the answer, in %",
        widget=forms.TextInput(_NUMBER),
    )
    validates_adopted = forms.BooleanField(
        required=False, label="What two or more labelers agree on is validated too"
    )
    gold_percent = forms.DecimalField(
        min_value=0,
        max_value=50,
        max_digits=3,
        decimal_places=1,
        label="Hidden checks, in % of the examples",
        widget=forms.TextInput(_NUMBER),
        help_text="Examples whose answer is known, in between. Choose them under Gold once the queue is there.",
    )
    pause_percent = forms.DecimalField(
        required=False,
        min_value=0,
        max_value=100,
        max_digits=4,
        decimal_places=1,
        label="Pause a labeler below, in % right",
        widget=forms.TextInput({**_NUMBER, "placeholder": "never"}),
    )
    gold_pause_after = forms.IntegerField(
        min_value=1,
        max_value=10_000,
        label="… but not before so many checks",
        widget=forms.TextInput(_NUMBER),
    )
    instructions = forms.CharField(
        required=False,
        max_length=50_000,
        label="Instructions",
        widget=forms.Textarea({**_AREA, "rows": 10}),
        help_text="Markdown. Labelers open them with a key, and see them before their first example.",
    )
    lease_minutes = forms.DecimalField(
        min_value=Decimal("0.2"),
        max_value=1440,
        max_digits=6,
        decimal_places=1,
        label="An example is held for, in minutes",
        widget=forms.TextInput(_NUMBER),
        help_text="Prolonged as long as the console is open.",
    )
    idle_minutes = forms.DecimalField(
        min_value=1,
        max_value=1440,
        max_digits=6,
        decimal_places=1,
        label="A session ends after, in idle minutes",
        widget=forms.TextInput(_NUMBER),
    )

    def __init__(
        self,
        data: Any = None,
        *,
        dataset: Dataset,
        branch: Branch,
        example_type: ExampleType,
        queue: LabelingQueue | None = None,
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=initial, prefix=None)
        self.queue = queue
        self.branch = branch
        self.example_type = example_type
        self._set_choices("field_path", asked_choices(example_type))
        people, groups = possible_members(dataset, queue)
        self._set_choices("users", people)
        self._set_choices("groups", groups)
        if queue is not None:
            del self.fields["field_path"]
        for name, field in self.fields.items():
            if self.is_bound and name in self.errors:
                field.widget.attrs["aria-invalid"] = "true"
            if field.help_text or (self.is_bound and name in self.errors):
                field.widget.attrs["aria-describedby"] = f"about-{name}"

    def _set_choices(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if values.get("order") == LabelingQueue.Order.PRIORITY and not values.get("priority_field"):
            self.add_error(
                "priority_field", "Say where in an example its priority is, such as metadata.priority."
            )
        for name, value in values.items():
            if isinstance(value, str) and "\x00" in value:
                self.add_error(name, "Found a NUL character, which cannot be stored.")
        return values

    def fields_of_queue(self) -> dict[str, Any]:
        """Return what was typed as fields of LabelingQueue; of a valid form."""
        values = self.cleaned_data
        pause = values["pause_percent"]
        found = {
            "name": values["name"],
            "choices": [line.strip() for line in values["choices"].splitlines() if line.strip()],
            "filters": filters_in(values),
            "overlap": values["overlap"],
            "order": values["order"],
            "seed": values["seed"] or 0,
            "priority_field": values["priority_field"],
            "adopts": values["adopts"],
            "consensus_method": values["consensus_method"],
            "agreement_threshold": values["threshold_percent"] / 100,
            "validates_adopted": values["validates_adopted"],
            "gold_rate": values["gold_percent"] / 100,
            "gold_pause_below": None if pause is None else pause / 100,
            "gold_pause_after": values["gold_pause_after"],
            "instructions": values["instructions"],
            "lease_s": int(values["lease_minutes"] * 60),
            "idle_s": int(values["idle_minutes"] * 60),
        }
        if self.queue is None:
            found["field_path"] = values["field_path"]
        return found

    def members(self) -> tuple[list[Any], list[Group]]:
        """Return the people and the groups that were ticked; of a valid form."""
        users = get_user_model()._default_manager.filter(pk__in=self.cleaned_data["users"])
        return list(users), list(Group.objects.filter(pk__in=self.cleaned_data["groups"]))


def filters_in(values: dict[str, Any]) -> dict[str, Any]:
    """Return the filters among typed values, without what is empty."""
    tags = values.get("tags") or ""
    found = {
        "status": list(values.get("status") or ()),
        "tier": list(values.get("tier") or ()),
        "tags": [tag.strip() for tag in tags.split(",") if tag.strip()],
        "text": (values.get("text") or "").strip(),
    }
    return {name: value for name, value in found.items() if value}


def initial_of(queue: LabelingQueue) -> dict[str, Any]:
    """Return the values of the form for a queue that is there, or for the defaults of one that is not saved yet."""
    members = list(queue.members.all()) if not queue._state.adding else []
    pause = queue.gold_pause_below
    return {
        "name": queue.name,
        "field_path": queue.field_path,
        "choices": "\n".join(str(choice) for choice in queue.choices),
        "status": queue.filters.get("status", []),
        "tier": queue.filters.get("tier", []),
        "tags": ", ".join(queue.filters.get("tags", [])),
        "text": queue.filters.get("text", ""),
        "overlap": queue.overlap,
        "users": [str(member.user_id) for member in members if member.user_id],
        "groups": [str(member.group_id) for member in members if member.group_id],
        "order": queue.order,
        "seed": queue.seed,
        "priority_field": queue.priority_field,
        "adopts": queue.adopts,
        "consensus_method": queue.consensus_method,
        "threshold_percent": _short(queue.agreement_threshold * 100),
        "validates_adopted": queue.validates_adopted,
        "gold_percent": _short(queue.gold_rate * 100),
        "pause_percent": None if pause is None else _short(pause * 100),
        "gold_pause_after": queue.gold_pause_after,
        "instructions": queue.instructions,
        "lease_minutes": _short(Decimal(queue.lease_s) / 60),
        "idle_minutes": _short(Decimal(queue.idle_s) / 60),
    }


def _short(number: Any) -> str:
    return f"{Decimal(number):.1f}".removesuffix(".0")


def asked_choices(example_type: ExampleType) -> list[tuple[str, str]]:
    """Return what a queue of a type may ask for: the whole output, or one of its fields."""
    fields = [one for one in answer_fields(example_type.output_schema) if one.path]
    whole = ", ".join(one.title for one in fields[:5]) + (" …" if len(fields) > 5 else "")
    single = [(one.name, f"Only {one.title}") for one in fields] if len(fields) > 1 else []
    return [("", f"The whole output: {whole}" if whole else "The whole output"), *single]


def has_free_class(example_type: ExampleType, path: str) -> bool:
    """Whether the class is asked for at `path` of the output, and its schema lists no values."""
    if not example_type.class_field or path not in ("", example_type.class_field):
        return False
    schema = schema_at(example_type.output_schema, example_type.class_field)
    return not {"enum", "const"} & set(schema) and schema.get("type") != "boolean"


def offered_classes(branch: Branch, example_type: ExampleType) -> list[str]:
    """Return the values of a free class that examples have already, to offer them; none where there are too many."""
    if not has_free_class(example_type, ""):
        return []
    classes = known_classes(branch, [example_type])
    return classes if len(classes) <= OFFERED_CLASSES else []


def possible_members(
    dataset: Dataset, queue: LabelingQueue | None
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the people and the groups (id, name) that may label in a dataset, and those that are members already."""
    roles = [role.value for role in roles_that_may(Action.LABEL)]
    members = Q(memberships__dataset=dataset, memberships__role__in=roles)
    users = get_user_model()._default_manager.filter(is_active=True)
    may_label = (
        Q(is_superuser=True)
        | Q(groups__name__in=roles)
        | members
        | Q(groups__memberships__dataset=dataset, groups__memberships__role__in=roles)
    )
    groups = Q(name__in=roles) | members
    if queue is not None:
        may_label |= Q(pk__in=queue.members.exclude(user=None).values("user"))
        groups |= Q(pk__in=queue.members.exclude(group=None).values("group"))
    found = users.filter(may_label).order_by("username").distinct()[:SHOWN_PEOPLE]
    found_groups = Group.objects.filter(groups).order_by("name").distinct()[:SHOWN_PEOPLE]
    return (
        [(str(user.pk), user.get_username()) for user in found],
        [(str(group.pk), group.name) for group in found_groups],
    )


def member_chosen(queue: LabelingQueue, whom: str) -> tuple[Any, Group | None]:
    """Return the person or the group that user:ID or group:ID names; neither for everybody. Raises BadInput."""
    kind, _, key = whom.partition(":")
    people, groups = possible_members(queue.dataset, queue)
    if kind == "user" and key in dict(people):
        return get_user_model()._default_manager.get(pk=key), None
    if kind == "group" and key in dict(groups):
        return None, Group.objects.get(pk=key)
    if kind != "everybody":
        raise BadInput("Choose to whom the examples are given.")
    return None, None
