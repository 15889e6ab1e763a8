"""Train a classifier on a version of a golden dataset, read from the API as a stream.

    GOLDEN_TOKEN=… python train_from_api.py http://127.0.0.1:8000 bank v1.0

Needs scikit-learn and nothing else beyond Python's own library. The version is named by a tag, a branch or a commit
hash; what it is (the commit, the number of examples, the ETag) is printed with the result, so that a model can always
say what it was trained on. An example without an output is passed over.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Version:
    """Which version was read: its commit, and how many examples it holds."""

    commit: str
    examples: int


class Source:
    """A version of a dataset behind the API."""

    def __init__(self, site: str, dataset: str, ref: str, token: str) -> None:
        parts = [urllib.parse.quote(part, safe="") for part in (dataset, ref)]
        self._url = f"{site.rstrip('/')}/api/v1/datasets/{parts[0]}/versions/{parts[1]}/examples.ndjson"
        self._token = token
        self.version: Version | None = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the examples in the order of import, one line of the stream at a time."""
        request = urllib.request.Request(self._url, headers={"Authorization": f"Token {self._token}"})  # noqa: S310
        try:
            answer = urllib.request.urlopen(request)  # noqa: S310 - the caller checked that it is http
        except urllib.error.HTTPError as error:
            told = json.load(error)
            raise SystemExit(f"{told['code']}: {told['message']} {told['hint']}".strip()) from error
        with answer:
            self.version = Version(answer.headers["X-Golden-Commit"], int(answer.headers["X-Golden-Count"]))
            read = 0
            for line in answer:
                yield json.loads(line)
                read += 1
        if read < self.version.examples:
            sys.stderr.write(
                f"Read {read} of {self.version.examples} examples: the others were redacted, or the stream broke off.\n"
            )


def in_test_part(example_id: str, share: float) -> bool:
    """Tell whether an example is for testing: by its id alone, so that it stays where it is as the dataset grows."""
    digest = hashlib.sha256(example_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def features(example_input: dict[str, Any]) -> dict[str, Any]:
    """Return numbers as they are and texts as categories; nested values as their JSON text."""
    return {
        name: value if isinstance(value, int | float | str) else json.dumps(value, sort_keys=True)
        for name, value in example_input.items()
    }


def train(source: Source, class_field: str, test_share: float) -> dict[str, Any]:
    """Train on the one part of a version and return what was reached on the other."""
    from sklearn.dummy import DummyClassifier
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler

    parts: dict[bool, tuple[list[dict[str, Any]], list[str]]] = {False: ([], []), True: ([], [])}
    for example in source:
        if example.get("output") is not None:
            inputs, classes = parts[in_test_part(example["id"], test_share)]
            inputs.append(features(example["input"]))
            classes.append(str(example["output"][class_field]))
    (train_inputs, train_classes), (test_inputs, test_classes) = parts[False], parts[True]
    model = make_pipeline(
        DictVectorizer(), MaxAbsScaler(), LogisticRegression(max_iter=1000, class_weight="balanced")
    ).fit(train_inputs, train_classes)
    guess = DummyClassifier(strategy="most_frequent").fit(train_inputs, train_classes)
    assert source.version is not None
    return {
        "commit": source.version.commit,
        "examples": source.version.examples,
        "trained_on": len(train_inputs),
        "tested_on": len(test_inputs),
        "classes": sorted(set(train_classes)),
        "balanced_accuracy": round(balanced_accuracy_score(test_classes, model.predict(test_inputs)), 4),
        "balanced_accuracy_of_guessing": round(
            balanced_accuracy_score(test_classes, guess.predict(test_inputs)), 4
        ),
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Train a classifier on a version of a golden dataset.")
    parser.add_argument("site", help="address of the site, such as http://127.0.0.1:8000")
    parser.add_argument("dataset")
    parser.add_argument("ref", help="tag, branch or commit hash")
    parser.add_argument("--class-field", default="label", help="field of the output (default: label)")
    parser.add_argument("--test-share", type=float, default=0.25)
    options = parser.parse_args(arguments)
    token = os.environ.get("GOLDEN_TOKEN", "")
    if not token:
        sys.stderr.write("GOLDEN_TOKEN is not set: make a token with the scope read in the admin.\n")
        return 2
    if not options.site.startswith(("http://", "https://")):
        sys.stderr.write(f"{options.site}: expected an address such as http://127.0.0.1:8000.\n")
        return 2
    source = Source(options.site, options.dataset, options.ref, token)
    result = train(source, options.class_field, options.test_share)
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
