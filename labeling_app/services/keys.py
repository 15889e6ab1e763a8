"""The keys that people chose for the labeling console, and the keys that example types fix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from datasets_app.models import ExampleType
from goldenproject.kit.audit import acting
from goldenproject.kit.errors import BadInput
from labeling_app.domain.controls import fixed_keys
from labeling_app.domain.keys import (
    ACTION_TITLES,
    DEFAULT_KEYS,
    clashes,
    effective_keys,
    normal_key,
    type_clashes,
)
from labeling_app.errors import KeyClash
from labeling_app.models import KeyMap


def keys_of(person: Any) -> dict[str, str]:
    """Return {action: key} of a person: the console's own keys, and in their place those that were chosen."""
    chosen = KeyMap.objects.filter(user=person).values_list("keys", flat=True).first()
    return effective_keys(chosen)


def save_keys(*, person: Any, keys: Mapping[str, Any]) -> dict[str, str]:
    """Keep the keys that a person chose, {action: key}; {} goes back to the console's own. Returns all keys.

    What is left out has the console's own key. Raises KeyClash, naming every clash with another action, with a reserved
    key, or with a key that an example type fixes.
    """
    if not all(isinstance(key, str) for key in keys.values()):
        raise BadInput('The keys must look like {"skip": "x"}: found a key that is no text.')
    unknown = {action: key for action, key in keys.items() if action not in DEFAULT_KEYS}
    chosen = {
        action: normal_key(key) for action, key in keys.items() if DEFAULT_KEYS.get(action) != normal_key(key)
    }
    found = clashes({**effective_keys(chosen), **unknown})
    if not found:
        for name, presentation in ExampleType.objects.exclude(presentation={}).values_list(
            "name", "presentation"
        ):
            found += clashes(effective_keys(chosen), fixed_keys(presentation), f"the type “{name}”")
    if found:
        raise KeyClash(" ".join(dict.fromkeys(found)), clashes=list(dict.fromkeys(found)))
    with acting(person, "keys of the labeling console"):
        KeyMap.objects.update_or_create(user=person, defaults={"keys": chosen})
    return effective_keys(chosen)


def keys_of_people(presentation: Mapping[str, Any] | None) -> list[str]:
    """Return, as sentences, which keys that a type fixes people have chosen for an action; there the choice wins."""
    fixed = {
        normal_key(key): option
        for options in fixed_keys(presentation).values()
        for option, key in options.items()
    }
    chosen: Counter[tuple[str, str]] = Counter()
    if fixed:
        for keys in KeyMap.objects.values_list("keys", flat=True):
            chosen.update((key, action) for action, key in effective_keys(keys).items() if key in fixed)
    return [
        f"{'One person has' if count == 1 else f'{count} people have'} the key {key} for “{ACTION_TITLES[action]}”: "
        f"where “{fixed[key]}” can be picked, it picks that."
        for (key, action), count in sorted(chosen.items())
    ]


def check_type_keys(example_type: ExampleType) -> None:
    """Raise KeyClash when the keys that a type fixes clash with each other or with the console's own."""
    where = f"the type “{example_type.name}”"
    found = type_clashes(example_type.output_schema, example_type.presentation, where)
    if found:
        raise KeyClash(
            " ".join(found),
            hint="The guide's page on example types lists the keys that are taken.",
            clashes=found,
        )
