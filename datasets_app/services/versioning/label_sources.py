"""Which labels an answer came from. Versions know nothing of labels: whoever keeps them adds a source here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from datasets_app.domain.canonical import same_json
from datasets_app.domain.json_path import MISSING, get_path, parse_path


@dataclass(frozen=True)
class LabelBehind:
    """An answer that labels gave: the path of the part of the example, who said it, how it came about, and when."""

    path: str
    value: Any
    who: tuple[str, ...]
    said: str
    at: datetime

    def gave(self, path: str, value: Any, *, by: datetime) -> bool:
        """Tell whether the field at `path` can have `value` from here, in a version made at the moment `by`."""
        mine, asked = parse_path(self.path), parse_path(path)
        if self.at > by:
            return False
        if asked[: len(mine)] == mine:
            there, given = value, get_path(self.value, asked[len(mine) :])
        elif mine[: len(asked)] == asked:
            there, given = get_path(value, mine[len(asked) :]), self.value
        else:
            return False
        return MISSING not in (there, given) and same_json(there, given)


# Each gives the answers of labels that an example ever got, oldest first.
label_sources: list[Callable[[uuid.UUID], list[LabelBehind]]] = []


def labels_of(example: uuid.UUID) -> list[LabelBehind]:
    """Return all answers of labels that an example got, oldest first."""
    return sorted((one for source in label_sources for one in source(example)), key=lambda one: one.at)


def label_behind(labels: Iterable[LabelBehind], path: str, value: Any, *, by: datetime) -> LabelBehind | None:
    """Return the newest of `labels` that can have given a field its value; None where nobody labeled it."""
    found = [one for one in labels if one.gave(path, value, by=by)]
    return found[-1] if found else None
