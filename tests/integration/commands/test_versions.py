"""The commands on versions: commit, log, diff, show, checkout, tag, branch, blame, redact."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User

from datasets_app.models import Dataset
from tests.integration.commands.conftest import ROWS, Run, relabelled, write_jsonl


def _change(run: Run, dataset: str, tmp_path: Path, labels: dict[str, str], *more: str) -> None:
    assert run("golden_import", dataset, relabelled(tmp_path / "change.jsonl", labels), *more).code == 0


def test_golden_status__changed_row__is_listed(run: Run, emails: str, tmp_path: Path) -> None:
    _change(run, emails, tmp_path, {"a3": "topup_failed"})
    ran = run("golden_status", emails, "--exit-code")
    head = Dataset.objects.get().main.commit
    assert head is not None
    assert ran.code == 1
    assert ran.out == (
        f"emails@main at {head.short_hash} “first”\n"
        "3 rows in the working copy\n"
        "Uncommitted: 0 added, 1 modified, 0 removed\n"
        "  ~ a3\n"
        "Touched by: unknown or the system 1\n"
    )


def test_golden_status__no_dataset_given__lists_them(run: Run, emails: str) -> None:
    assert run("golden_status").out == "emails  no tag  3 rows\n"


def test_golden_commit__nothing_dirty__is_refused(run: Run, emails: str) -> None:
    ran = run("golden_commit", emails, "-m", "again", "--json")
    assert (ran.code, ran.error["code"], ran.error["exit_code"]) == (1, "nothing_to_commit", 1)
    assert ran.out == ""


def test_golden_commit__where__commits_only_what_matches(run: Run, emails: str, tmp_path: Path) -> None:
    _change(run, emails, tmp_path, {"a1": "lost", "a3": "topup_failed"})
    ran = run(
        "golden_commit", emails, "-m", "one", "--where", "output.label=lost", "--author", "Anna", "--json"
    )
    assert (ran.document["commit"]["modified"], ran.document["commit"]["author"]) == (1, "Anna")
    left = run("golden_diff", emails, "--json").document
    assert [change["external_id"] for change in left["changes"]] == ["a3"]


@pytest.mark.parametrize(
    ("where", "left"),
    [
        ("id=a1", ["a3"]),
        ("change=modified", []),
        ("type=text_classification", []),
        ('output.label="lost"', ["a3"]),
        ("status=validated", ["a1", "a3"]),
    ],
)
def test_golden_commit__each_kind_of_condition__selects(
    run: Run, emails: str, tmp_path: Path, where: str, left: list[str]
) -> None:
    _change(run, emails, tmp_path, {"a1": "lost", "a3": "topup_failed"})
    run("golden_commit", emails, "-m", "some", "--where", where)
    document = run("golden_diff", emails, "--json").document
    assert [change["external_id"] for change in document["changes"]] == left


def test_golden_commit__condition_on_unknown_field__says_what_there_is(run: Run, emails: str) -> None:
    ran = run("golden_commit", emails, "-m", "x", "--where", "colour=red")
    assert ran.code == 1
    assert ran.err.startswith(
        "“colour=red”: “colour” is no field to select by.\nUse type, status, id, change"
    )


def test_golden_commit__mine__leaves_what_others_touched(run: Run, emails: str, tmp_path: Path) -> None:
    anna = User.objects.create_user("anna", first_name="Anna", last_name="Lind")
    anna.groups.add(Group.objects.get(name="curator"))
    _change(run, emails, tmp_path, {"a1": "lost"}, "--user", "anna")
    _change(run, emails, tmp_path, {"a3": "topup_failed"})
    ran = run("golden_commit", emails, "-m", "mine", "--mine", "--user", "anna", "--json")
    assert (ran.document["commit"]["modified"], ran.document["commit"]["author"]) == (1, "Anna Lind")


def test_golden_commit__mine_without_user__is_wrong_usage(run: Run, emails: str) -> None:
    ran = run("golden_commit", emails, "-m", "x", "--mine")
    assert (ran.code, ran.err) == (2, "--mine needs to know who you are.\nSay --user NAME.\n")


def test_golden_commit__user_without_the_right__is_refused(run: Run, emails: str) -> None:
    User.objects.create_user("guest").groups.add(Group.objects.get(name="viewer"))
    ran = run("golden_commit", emails, "-m", "x", "--user", "guest", "--json")
    assert (ran.code, ran.error["code"]) == (1, "forbidden")


def test_golden_diff__changed_field__old_and_new_value(run: Run, emails: str, tmp_path: Path) -> None:
    _change(run, emails, tmp_path, {"a1": "lost"})
    lines = run("golden_diff", emails).out.splitlines()
    assert lines[0].endswith("→ the working copy: 0 added, 1 modified, 0 removed")
    assert lines[1:] == ["~ a1", '    $.output.label  "card_lost" → "lost"']


def test_golden_diff__two_versions__exit_code_says_that_they_differ(
    run: Run, emails: str, tmp_path: Path
) -> None:
    _change(run, emails, tmp_path, {"a1": "lost"})
    run("golden_commit", emails, "-m", "second")
    ran = run("golden_diff", emails, "HEAD~1..HEAD", "--stat", "--exit-code")
    assert (ran.code, len(ran.out.splitlines())) == (1, 1)
    assert run("golden_diff", emails, "HEAD", "main", "--exit-code").code == 0


def test_golden_diff__old_version_and_working_copy__shows_both_steps(
    run: Run, emails: str, tmp_path: Path
) -> None:
    _change(run, emails, tmp_path, {"a1": "lost"})
    run("golden_commit", emails, "-m", "second")
    _change(run, emails, tmp_path, {"a3": "topup_failed"})
    document = run("golden_diff", emails, "HEAD~1", "--json").document
    assert [
        (c["external_id"], c["fields"][0]["old"], c["fields"][0]["new"]) for c in document["changes"]
    ] == [
        ("a1", "card_lost", "lost"),
        ("a3", "topup", "topup_failed"),
    ]


def test_golden_diff__limit__says_how_many_are_left(run: Run, emails: str, tmp_path: Path) -> None:
    _change(run, emails, tmp_path, {"a1": "x", "a2": "y", "a3": "z"})
    ran = run("golden_diff", emails, "--limit", "1")
    assert ran.out.splitlines()[-1] == "… and 2 more (--limit 0 shows all)"


def test_golden_diff__more_than_fits_in_memory__shows_the_first_and_counts_touched_rows(
    run: Run, emails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets_app.management.commands.golden_diff.EXACT_ROWS", 1)
    _change(run, emails, tmp_path, {"a1": "x", "a2": "y", "a3": "z"})
    document = run("golden_diff", emails, "--limit", "2", "--json").document
    assert (document["exact"], document["modified"], document["shown"]) == (False, 3, 2)
    assert [change["external_id"] for change in document["changes"]] == ["a1", "a2"]


def test_golden_log__json__newest_first_with_refs(run: Run, emails: str, tmp_path: Path) -> None:
    run("golden_tag", emails, "v1.0")
    _change(run, emails, tmp_path, {"a1": "lost"})
    run("golden_commit", emails, "-m", "second")
    commits = run("golden_log", emails, "--json").document["commits"]
    assert [(c["message"], c["branches"], c["tags"], c["modified"]) for c in commits] == [
        ("second", ["main"], [], 1),
        ("first", [], ["v1.0"], 0),
    ]
    after = run("golden_log", emails, "--after", "HEAD", "--json").document["commits"]
    assert [c["message"] for c in after] == ["first"]


def test_golden_log__dataset_without_version__says_so(run: Run) -> None:
    run("golden_create", "empty")
    assert run("golden_log", "empty").out == "“empty” has no version yet; golden_commit makes one.\n"


def test_golden_show__version_and_example__as_it_holds_them(run: Run, emails: str) -> None:
    document = run("golden_show", emails, "HEAD", "--json").document
    assert [(c["external_id"], c["change"]) for c in document["changes"]] == [
        ("a1", "added"),
        ("a2", "added"),
        ("a3", "added"),
    ]
    content = run("golden_show", emails, "HEAD", "a2", "--json").document["content"]
    assert content["output"] == {"label": "transfer"}


@pytest.mark.parametrize(
    ("ref", "code"),
    [("nope", "unknown_ref"), ("HEAD~5", "unknown_ref"), ("~~", "unknown_ref"), ("beef", "unknown_ref")],
)
def test_golden_show__no_such_version__is_refused(run: Run, emails: str, ref: str, code: str) -> None:
    ran = run("golden_show", emails, ref, "--json")
    assert (ran.code, ran.error["code"]) == (1, code)


def test_golden_checkout__dirty__refused_then_forced(run: Run, emails: str, tmp_path: Path) -> None:
    _change(run, emails, tmp_path, {"a1": "lost"})
    refused = run("golden_checkout", emails, "HEAD", "--json")
    assert (refused.code, refused.error["code"]) == (1, "uncommitted_changes")
    assert run("golden_checkout", emails, "HEAD", "--force", "--json").document["rows_changed"] == 1
    assert run("golden_status", emails, "--json").document["clean"] is True


def test_golden_checkout__stash__keeps_the_work_on_a_branch(run: Run, emails: str, tmp_path: Path) -> None:
    _change(run, emails, tmp_path, {"a1": "lost"})
    stash = run("golden_checkout", emails, "HEAD", "--stash", "--json").document["stash"]
    assert stash.startswith("stash/main-")
    changes = run("golden_diff", emails, "HEAD", stash, "--json").document["changes"]
    assert [change["external_id"] for change in changes] == ["a1"]


def test_golden_tag__made_listed_taken_deleted(run: Run, emails: str) -> None:
    assert run("golden_tag", emails).out == "“emails” has no tag yet.\n"
    assert run("golden_tag", emails, "v1.0", "-m", "as imported").code == 0
    assert [t["tag"] for t in run("golden_tag", emails, "--json").document["tags"]] == ["v1.0"]
    again = run("golden_tag", emails, "v1.0", "--json")
    assert (again.code, again.error["code"]) == (1, "ref_exists")
    assert run("golden_tag", emails, "v1.0", "--delete").out == "Deleted the tag “v1.0”; its commit stays.\n"
    assert run("golden_tag", emails, "v1.0", "--delete").code == 1


def test_golden_branch__opened_and_closed__lists_both_states(run: Run, emails: str) -> None:
    made = run("golden_branch", emails, "fix", "--open", "--json").document
    assert (made["worktree"], made["rows"], made["closed"]) == ("open", 3, False)
    closed = run("golden_branch", emails, "fix", "--close", "--json").document
    assert (closed["worktree"], closed["rows"], closed["closed"]) == ("closed", 0, True)
    names = [b["branch"] for b in run("golden_branch", emails, "--json").document["branches"]]
    assert names == ["main", "fix"]


def test_golden_branch__dirty_worktree__is_kept_unless_forced(run: Run, emails: str, tmp_path: Path) -> None:
    run("golden_branch", emails, "fix", "--open")
    _change(run, emails, tmp_path, {"a1": "lost"}, "--branch", "fix")
    assert (
        run("golden_branch", emails, "fix", "--delete-worktree", "--json").error["code"]
        == "uncommitted_changes"
    )
    assert run("golden_branch", emails, "fix", "--delete-worktree", "--force", "--json").document["rows"] == 0


def test_golden_branch__import_into_one__other_does_not_see_it(run: Run, emails: str, tmp_path: Path) -> None:
    run("golden_branch", emails, "fix", "--open")
    _change(run, emails, tmp_path, {"a1": "lost"}, "--branch", "fix")
    assert run("golden_status", emails, "--json").document["clean"] is True
    assert run("golden_status", emails, "--branch", "fix", "--json").document["modified"] == 1


def test_golden_blame__changed_field__names_its_version(run: Run, emails: str, tmp_path: Path) -> None:
    _change(run, emails, tmp_path, {"a1": "lost"})
    run("golden_commit", emails, "-m", "second", "--author", "Anna")
    fields = {f["path"]: f for f in run("golden_blame", emails, "a1", "--json").document["fields"]}
    assert fields["$.output.label"]["commit"]["author"] == "Anna"
    assert fields["$.input.text"]["commit"]["message"] == "first"
    history = run("golden_blame", emails, "a1", "--history", "--json").document["history"]
    assert [(h["change"], h["commit"]["message"]) for h in history] == [
        ("modified", "second"),
        ("added", "first"),
    ]


def test_golden_blame__unknown_example__is_refused(run: Run, emails: str) -> None:
    ran = run("golden_blame", emails, "zz", "--json")
    assert (ran.code, ran.error["code"]) == (1, "unknown_example")


def test_golden_redact__without_yes_and_terminal__does_nothing(run: Run, emails: str) -> None:
    ran = run("golden_redact", emails, "a1", "--reason", "a name")
    assert (ran.code, ran.err) == (2, "This cannot be undone, and nobody is there to ask.\nSay --yes.\n")
    assert run("golden_show", emails, "HEAD", "a1").code == 0


def test_golden_redact__yes__content_is_gone_from_every_version(run: Run, emails: str) -> None:
    ran = run("golden_redact", emails, "a1", "--reason", "a name", "--yes", "--json")
    assert (ran.code, len(ran.document["contents"]), ran.document["working_rows"]) == (0, 1, 1)
    assert run("golden_show", emails, "HEAD", "a1", "--json").error["code"] == "redacted"


def test_output__control_characters_in_data__do_not_reach_the_terminal(
    run: Run, emails: str, tmp_path: Path
) -> None:
    evil = {"id": "\u001b[2Jx", "input": {"text": "\u001b[2J"}, "output": {"label": "x"}}
    run("golden_import", emails, write_jsonl(tmp_path / "evil.jsonl", [*ROWS, evil]))
    for ran in (run("golden_status", emails), run("golden_diff", emails)):
        assert "\u001b" not in ran.out
        assert "\\x1b[2Jx" in ran.out
