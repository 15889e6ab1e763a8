"""golden_embed: what it does, prints and refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group, User

from datasets_app.models import Analysis, Chunk, Corpus, Embedding, EmbeddingModel
from datasets_app.services.retrieval import embedders
from tests.embedding_server import EmbeddingServer, Reply, serving
from tests.integration.commands.conftest import Run


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddingServer]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: EmbeddingServer, db: None) -> Iterator[EmbeddingServer]:
    """The server of the model “hashes”, which is the current one, in a corpus of three texts."""
    running.requests.clear()
    running.replies.clear()
    EmbeddingModel.objects.update(is_current=False)
    EmbeddingModel.objects.create(
        name="hashes", provider="openai", options=running.options(max_tries=1), dimension=8, is_current=True
    )
    corpus = Corpus.objects.create(name="default")
    url = "https://docs.python.org/3/"
    analysis = Analysis.objects.create(
        corpus=corpus, url=url, canonical_url=url, content_type="text", status="completed"
    )
    for place, text in enumerate(["one", "two", "three"]):
        Chunk.objects.create(analysis=analysis, content=text, chunk_index=place)
    yield running
    for embedder in embedders._made.values():
        embedder.close()
    embedders._made.clear()


def options(server: EmbeddingServer) -> list[str]:
    return [f"--option={key}={value}" for key, value in server.options().items()]


def test_golden_embed__current_model__embeds_and_then_has_nothing_to_do(
    run: Run, server: EmbeddingServer
) -> None:
    first = run("golden_embed")
    assert first.code == 0, first.err
    assert first.out.startswith("hashes  3 embedded, ") and first.out.endswith("index: not needed\n")
    second = run("golden_embed", "--json")
    assert second.document["models"][0] | {"seconds": 0} == {
        "model": "hashes",
        "embedded": 0,
        "present": 3,
        "index": "not needed",
        "seconds": 0,
        "warnings": [],
    }


def test_golden_embed__all_models_and_one_fails__does_the_others_and_fails(
    run: Run, server: EmbeddingServer
) -> None:
    server.replies.append(Reply(401, {"error": {"message": "who are you"}}))
    ran = run("golden_embed", "--all-models", "--json")
    assert ran.code == 1
    assert [(done["model"], done["embedded"]) for done in ran.document["models"]] == [("minilm", 3)]
    assert [(failed["model"], failed["code"]) for failed in ran.document["failed"]] == [
        ("hashes", "embedding_trouble")
    ]
    assert Embedding.objects.count() == 3


def test_golden_embed__status__shows_each_model(run: Run, server: EmbeddingServer) -> None:
    assert run("golden_embed", "--status").out.splitlines() == [
        "hashes (current)  openai, 8 dimensions  0 of 3 texts, 3 missing  index: absent",
        "minilm  minilm, 384 dimensions  0 of 3 texts, 3 missing  index: absent",
    ]
    run("golden_embed")
    Chunk.objects.filter(content="two").update(content="more")
    assert run("golden_embed", "--status", "--model", "hashes", "--json").document == {
        "models": [
            {
                "model": "hashes",
                "provider": "openai",
                "dimension": 8,
                "current": True,
                "texts": 3,
                "embedded": 2,
                "missing": 1,
                "unused": 1,
                "index": "absent",
            }
        ]
    }
    assert run("golden_embed", "--prune").out == "hashes  1 unused vectors deleted\n"


def test_golden_embed__register_embed_switch_delete__a_models_life(run: Run, server: EmbeddingServer) -> None:
    made = run("golden_embed", "--register", "newer", *options(server), "--option", "batch_size=2")
    assert (made.code, made.out) == (
        0,
        "Registered “newer” with 8 dimensions. Its vectors: golden_embed --model newer\n",
    )
    assert EmbeddingModel.objects.get(name="newer").options == server.options(batch_size=2)
    early = run("golden_embed", "--switch", "newer")
    assert early.code == 1 and "3 of 3 texts have no vector" in early.err
    assert run("golden_embed", "--model", "newer").code == 0
    assert [len(request.texts) for request in server.requests] == [1, 2, 1]
    assert run("golden_embed", "--switch", "newer").out == "Searches use “newer” from now on.\n"
    kept = run("golden_embed", "--delete", "newer", "--yes")
    assert kept.code == 1 and "“newer” is the current embedding model" in kept.err
    asked = run("golden_embed", "--delete", "hashes")
    assert (asked.code, "nobody is there to ask" in asked.err) == (2, True)
    gone = run("golden_embed", "--delete", "hashes", "--yes", "--json")
    assert gone.document == {"model": "hashes", "deleted": 0}
    assert set(Embedding.objects.values_list("model__name", flat=True)) == {"newer"}


def test_golden_embed__all_models__embeds_with_each(run: Run, server: EmbeddingServer) -> None:
    EmbeddingModel.objects.filter(name="minilm").delete()
    EmbeddingModel.objects.create(
        name="other", provider="openai", options=server.options(batch_size=9), dimension=8
    )
    document = run("golden_embed", "--all-models", "--json").document
    assert [(one["model"], one["embedded"]) for one in document["models"]] == [("hashes", 3), ("other", 3)]


def test_golden_embed__endpoint_is_down__ends_with_1_and_says_why(run: Run, server: EmbeddingServer) -> None:
    server.replies.append(Reply(503, {"error": "maintenance"}))
    ran = run("golden_embed", "--json")
    assert (ran.code, ran.out) == (1, "")
    assert ran.error["code"] == "embedding_trouble" and "answered 503 (maintenance)" in ran.error["message"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--model", "nothing"], 1, "There is no embedding model “nothing”."),
        (["--option", "a=b"], 2, "--provider and --option say something with --register only."),
        (["--register", "x", "--option", "batch_size"], 2, "expected KEY=VALUE"),
        (["--register", "x", "--model", "hashes"], 2, "say nothing with --register"),
        (["--register", "x"], 1, "Option base_url: found nothing, but an endpoint needs it."),
        (["--register", "hashes"], 1, "There is an embedding model “hashes” already."),
    ],
)
def test_golden_embed__cannot_do_that__says_what_and_how(
    run: Run, server: EmbeddingServer, arguments: list[str], code: int, message: str
) -> None:
    ran = run("golden_embed", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err


@pytest.mark.parametrize(
    ("role", "arguments", "code"),
    [
        ("viewer", ["--status"], 0),
        ("viewer", [], 1),
        ("viewer", ["--prune"], 1),
        ("curator", [], 0),
        ("curator", ["--switch", "hashes"], 1),
        ("curator", ["--delete", "minilm", "--yes"], 1),
        ("administrator", ["--switch", "hashes"], 0),
    ],
)
def test_golden_embed__person__needs_the_right(
    run: Run, server: EmbeddingServer, role: str, arguments: list[str], code: int
) -> None:
    User.objects.create_user(role).groups.add(Group.objects.get(name=role))
    ran = run("golden_embed", "--user", role, *arguments)
    assert ran.code == code
    assert ("You may not" in ran.err) == (code == 1)
