"""`make bench`: how fast the paths over many rows are, as ratios to the physical limit in the same run.

    python -m tests.bench [--rows 1000000] [--only datasets|corpus|labeling] [--json FILE]

Runs on an embedded server of its own (or on DATABASE_URL's server), in databases that it drops at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import django
from django.db import connection

from goldenproject.embedded_server import release_all
from tests.bench.step_process import ROOT, run_step
from tests.bench.steps import write_rows

PARTS = ("datasets", "corpus", "labeling")


@dataclass(frozen=True)
class Line:
    """A measured ratio. `seconds` and `limit_seconds` are of the same run; `goal` is the greatest ratio wished for."""

    work: str
    compared_with: str
    seconds: float
    limit_seconds: float
    goal: float
    peak_mb: int | None = None

    @property
    def ratio(self) -> float:
        return self.seconds / self.limit_seconds


@dataclass(frozen=True)
class LabelingBench:
    """How labeling is measured: how many labelers, calls of the one who works alone, seconds of work together.

    `think_s` is what a person takes for an answer on the average. The proof ends after `labels` acknowledged answers and
    kills something after every `between_kills` of them.
    """

    labelers: int = 50
    overlap: int = 1
    calls: int = 500
    seconds: int = 40
    think_s: float = 2.5
    labels: int = 3000
    between_kills: int = 150


class Bench:
    """Runs the steps one after the other and collects the lines."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder = folder
        self.rows = rows
        self.lines: list[Line] = []
        self.facts: dict[str, Any] = {
            "rows": rows,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        }
        os.environ |= {"GOLDEN_DATA_DIR": str(folder / "data"), "PYTHONPATH": str(ROOT)}
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "goldenproject.settings.dev")
        self._environment = dict(os.environ)

    def step(
        self, name: str, *arguments: str, database: str | None = None, module: str = "steps"
    ) -> dict[str, Any]:
        print(f"… {name} {' '.join(Path(a).name for a in arguments)}", file=sys.stderr, flush=True)
        environment = {**self._environment, **({"GOLDEN_DATABASE": database} if database else {})}
        return run_step(module, name, *arguments, environment=environment)

    def manage(self, *arguments: str) -> None:
        subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=self._environment, check=True)

    def add(
        self, work: str, against: str, result: float, limit: float, goal: float, peak_mb: int | None = None
    ) -> None:
        self.lines.append(Line(work, against, result, limit, goal, peak_mb))

    def run(self) -> None:
        django.setup()
        connection.ensure_connection()  # keeps the embedded server up between the steps
        big, small, tiny = (self.folder / f"{n}.jsonl" for n in ("big", "small", "tiny"))
        for path, rows in ((big, self.rows), (small, min(10_000, self.rows)), (tiny, min(1_000, self.rows))):
            write_rows(path, rows)
        self.manage("migrate", "-v0")
        for name, path in (("tiny", tiny), ("small", small)):
            self.step("import_rows", name, str(path))
            self.step("first_commit", name)
        copied = self.step("copy_from", str(big))
        imported = self.step("import_rows", "big", str(big))
        self.add("import JSONL", "COPY FROM", imported["seconds"], copied["seconds"], 6, imported["peak_mb"])
        first = self.step("first_commit", "big")
        self.facts["first_commit_seconds"] = first["seconds"]
        self.facts["first_commit_peak_mb"] = first["peak_mb"]
        at_small, at_big = self.step("commit_thousand", "small"), self.step("commit_thousand", "big")
        self.add(
            f"commit of 1,000 changes at {self.rows:,}",
            "the same at 10,000",
            at_big["seconds"],
            at_small["seconds"],
            3,
        )
        diff = self.step("diff_thousand", "big")
        self.add("diff to the parent", "1,000 rows by key", diff["with_parent"], diff["read_by_key"], 10)
        self.add("diff of two trees", "1,000 rows by key", diff["trees"], diff["read_by_key"], 10)
        self.add("diff with contents", "1,000 rows by key", diff["with_contents"], diff["read_by_key"], 10)
        copied_out = self.step("copy_to", str(self.folder / "plain.out"))
        exported = self.step("export_tag", "big", str(self.folder / "tag.jsonl"))
        limit, peak = copied_out["seconds"], exported["peak_mb"]
        self.add("export JSONL of a version, first", "COPY TO", exported["first"], limit, 4, peak)
        self.add("export JSONL of a tag, kept", "COPY TO", exported["again"], limit, 2, peak)
        self._pages()
        self._backups()

    def _pages(self) -> None:
        few, many = self.step("pages", "tiny"), self.step("pages", "big")
        for kind in ("first", "deep", "filtered", "of_class"):
            self.add(f"changelist page, {kind}", "the same at 1,000", many[kind], few[kind], 2)
        self.facts["substring_search_seconds"] = {k: many[k] for k in ("search_rare", "search_absent")}

    def _backups(self) -> None:
        backup, dump = self.folder / "backup", self.folder / "dump"
        dumped = self.step("pg_dump", str(dump))
        backed_up = self.step("backup", str(backup))
        self.add("backup", "pg_dump -Fc", backed_up["seconds"], dumped["seconds"], 1.5, backed_up["peak_mb"])
        self.facts["backup_bytes"] = sum(f.stat().st_size for f in backup.rglob("*") if f.is_file())
        for name in ("bench_pg_restore", "bench_restore"):
            self.step("create_database", name)
        plain = self.step("pg_restore", str(dump), database="bench_pg_restore")
        restored = self.step("restore", str(backup), database="bench_restore")
        self.add("restore", "pg_restore", restored["seconds"], plain["seconds"], 3, restored["peak_mb"])

    # the corpus ---------------------------------------------------------------------------------------------------

    def run_corpus(self) -> None:
        """Search at 100,000 chunks; verify at 10,000 documents; backup, restore and evaluation at `rows` chunks."""
        django.setup()
        connection.ensure_connection()
        self._search()
        self._unchanged()
        self._many_chunks()

    def _corpus_step(self, database: str, name: str, *arguments: str) -> dict[str, Any]:
        return self.step(name, *arguments, database=database, module="corpus_steps")

    def _new_database(self, name: str) -> None:
        self.step("create_database", name)
        self._corpus_step(name, "manage", "migrate", "-v0")

    def _search(self) -> None:
        database, chunks = "bench_search", min(100_000, self.rows)
        self._new_database(database)
        self.facts["save_chunks"] = {
            "chunks": chunks,
            **self._corpus_step(database, "make_corpus", "bench", str(chunks)),
        }
        self.facts["lexical_index"] = self._corpus_step(database, "index_lexically", "bench")
        self.facts["vectors"] = self._corpus_step(database, "store_vectors", "bench")
        times = self._corpus_step(database, "search_times", "bench")
        self.facts["search"] = times
        for which in ("median", "p95"):
            self.add(
                f"hybrid query, {chunks:,} chunks, {which}",
                "HNSW query alone",
                times[f"hybrid_{which}_ms"] / 1000,
                times[f"hnsw_{which}_ms"] / 1000,
                5,
            )
        folder = str(self.folder / "search-backup")
        self._corpus_step(database, "manage", "golden_backup", "--output", folder)
        reused = self._corpus_step(database, "manage", "golden_restore", folder, "--replace")
        self.facts["restore_chunks_per_second_vectors_reused"] = chunks / reused["seconds"]
        self._restore_with_embedding()

    def _restore_with_embedding(self) -> None:
        chunks, folder = 1_000, str(self.folder / "small-backup")
        for database in ("bench_small", "bench_embedded"):
            self._new_database(database)
        self._corpus_step("bench_small", "make_corpus", "bench", str(chunks))
        self._corpus_step("bench_small", "manage", "golden_backup", "--output", folder)
        embedded = self._corpus_step("bench_embedded", "manage", "golden_restore", folder)
        self.facts["restore_chunks_per_second_embedding"] = chunks / embedded["seconds"]

    def _unchanged(self) -> None:
        self._new_database("bench_unchanged")
        self._corpus_step("bench_unchanged", "make_corpus", "bench", str(min(100_000, self.rows)))
        self.facts["verify_unchanged"] = self._corpus_step("bench_unchanged", "check_unchanged", "bench")

    def _many_chunks(self) -> None:
        """All of cron's commands on `rows` chunks without vectors: what each takes, and its peak memory."""
        folder = str(self.folder / "corpus-backup")
        run = self._corpus_step
        for database in ("bench_many", "bench_many_restored"):
            self._new_database(database)
            run(database, "without_vectors")
        self.facts["many_chunks"] = {
            "chunks": self.rows,
            "save": run("bench_many", "make_corpus", "bench", str(self.rows)),
            "queries": run("bench_many", "make_queries", "bench", "1000"),
            "lexical_index": run("bench_many", "index_lexically", "bench"),
            "backup": run("bench_many", "manage", "golden_backup", "--output", folder),
            "backup_again": run("bench_many", "manage", "golden_backup", "--output", folder),
            "verify_folder": run("bench_many", "manage", "golden_verify", folder),
            "verify": run("bench_many", "manage", "golden_verify", "--deep"),
            "evaluate": run("bench_many", "evaluate", "bench"),
            "restore": run("bench_many_restored", "manage", "golden_restore", folder, "--no-embeddings"),
        }

    # labeling -----------------------------------------------------------------------------------------------------

    def run_labeling(self, options: LabelingBench) -> None:
        """Over real HTTP, gunicorn as `make run` starts it: a queue of `rows`; latencies, then the proof with kills."""
        django.setup()
        connection.ensure_connection()
        place, database = str(self.folder / "labeling"), "bench_labeling"
        self.step("create_database", database)

        def run(name: str, *arguments: object) -> dict[str, Any]:
            return self.step(name, place, *map(str, arguments), database=database, module="labeling_steps")

        self.facts["labeling_prepare"] = run("prepare", self.rows, options.labelers, options.overlap)
        alone = self.facts["labeling_alone"] = run("alone", options.calls)
        self._latencies("alone", alone)
        for name, think_s in (("at their pace", options.think_s), ("without a pause", 0)):
            found = run("together", options.seconds, think_s)
            self.facts[f"labeling_{options.labelers}_{name.replace(' ', '_')}"] = found
            self._latencies(f"{options.labelers} {name}", found)
        self.facts["labeling_proof"] = run("proof", options.labels, options.between_kills)

    def _latencies(self, who: str, found: dict[str, Any]) -> None:
        for name in ("next", "submit", "submit and next"):
            if name in found:
                p95, limit = found[name]["p95_ms"] / 1000, found["by key"]["p95_ms"] / 1000
                self.add(f"{name}, p95, {who}", "a row by key, same HTTP", p95, limit, 3)

    def table(self) -> str:
        rows = [
            f"{'work':40} {'compared with':23} {'seconds':>9} {'limit':>9} {'ratio':>7} {'goal':>5} {'peak MB':>8}"
        ]
        for line in self.lines:
            mark = "" if line.ratio <= line.goal else "  over"
            peak = "" if line.peak_mb is None else str(line.peak_mb)
            rows.append(
                f"{line.work:40} {line.compared_with:23} {line.seconds:9.3f} {line.limit_seconds:9.3f} "
                f"{line.ratio:7.2f} {line.goal:5.1f} {peak:>8}{mark}"
            )
        return "\n".join(rows)

    def as_json(self) -> dict[str, Any]:
        return {"facts": self.facts, "lines": [{**asdict(line), "ratio": line.ratio} for line in self.lines]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", choices=PARTS, help="only this part")
    parser.add_argument("--json", type=Path, default=ROOT / "bench-results" / "bench.json")
    labeling = parser.add_argument_group("labeling")
    for one in fields(LabelingBench):
        kind = float if one.name == "think_s" else int
        labeling.add_argument(f"--{one.name.replace('_', '-')}", type=kind, default=one.default)
    options = parser.parse_args()
    chosen = LabelingBench(**{one.name: getattr(options, one.name) for one in fields(LabelingBench)})
    with tempfile.TemporaryDirectory(prefix="golden-bench-") as folder:
        Path(folder).chmod(0o711)
        bench = Bench(Path(folder), options.rows)
        try:
            if options.only in (None, "datasets"):
                bench.run()
            if options.only in (None, "corpus"):
                bench.run_corpus()
            if options.only in (None, "labeling"):
                bench.run_labeling(chosen)
        finally:
            release_all()
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(bench.as_json(), indent=2) + "\n")
            print(bench.table())
            print(json.dumps(bench.facts, indent=2))


if __name__ == "__main__":
    main()
