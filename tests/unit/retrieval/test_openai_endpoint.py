"""The endpoint embedder against a real server on this machine that misbehaves in every way we know."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import numpy as np
import pytest

from datasets_app.errors import EmbeddingTrouble, WrongDimension
from datasets_app.services.retrieval.embedders.endpoint_options import endpoint_options
from datasets_app.services.retrieval.embedders.openai_endpoint import OpenAIEndpoint
from goldenproject.kit.errors import BadInput
from tests.embedding_server import EmbeddingServer, Reply, Request, hash_vector, serving, vectors


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddingServer]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: EmbeddingServer) -> EmbeddingServer:
    running.requests.clear()
    running.replies.clear()
    return running


@pytest.fixture
def pauses() -> list[float]:
    """What the embedder waited, in seconds; nobody really waits."""
    return []


@pytest.fixture
def embedder(server: EmbeddingServer, pauses: list[float]) -> Iterator[Callable[..., OpenAIEndpoint]]:
    made: list[OpenAIEndpoint] = []

    def make(*, dimension: int | None = 8, **options: Any) -> OpenAIEndpoint:
        made.append(
            OpenAIEndpoint(
                endpoint_options(server.options(**options)), dimension=dimension, sleep=pauses.append
            )
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


def unit(text: str) -> Any:
    vector = np.array(hash_vector(text))
    return pytest.approx((vector / np.linalg.norm(vector)).tolist(), abs=1e-6)


def trouble(embedder: OpenAIEndpoint, texts: list[str]) -> EmbeddingTrouble:
    with pytest.raises(EmbeddingTrouble) as caught:
        embedder.embed_passages(texts)
    return caught.value


# --- good answers -----------------------------------------------------------------------------------------------------
def test_endpoint__many_texts__are_sent_in_batches_and_come_back_in_order(
    server: EmbeddingServer, embedder: Callable[..., OpenAIEndpoint]
) -> None:
    found = embedder(batch_size=2).embed_passages(["a", "b", "c", "d", "e"])
    assert found.dtype == np.float32 and found.shape == (5, 8)
    assert [row.tolist() for row in found] == [unit(text) for text in "abcde"]
    assert [request.texts for request in server.requests] == [["a", "b"], ["c", "d"], ["e"]]
    assert {request.path for request in server.requests} == {"/v1/embeddings"}
    assert server.requests[0].document == {"model": "hashes", "input": ["a", "b"]}
    assert "authorization" not in server.requests[0].headers


def test_endpoint__answer_in_another_order__is_put_right_by_index(
    server: EmbeddingServer, embedder: Callable[..., OpenAIEndpoint]
) -> None:
    server.replies.append(vectors([0, 1], [1, 0], indexes=[1, 0]))
    assert embedder(dimension=2).embed_passages(["a", "b"]).tolist() == [[1, 0], [0, 1]]


def test_endpoint__prefixes_dimensions_and_key__are_sent(
    server: EmbeddingServer, embedder: Callable[..., OpenAIEndpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_EMBEDDING_KEY", "sesame")
    one = embedder(
        query_prefix="query: ",
        passage_prefix="passage: ",
        dimensions=8,
        api_key_env="TEST_EMBEDDING_KEY",
        max_characters=12,
    )
    one.embed_queries(["a"])
    one.embed_passages(["b" * 50])
    assert [request.texts for request in server.requests] == [["query: a"], ["passage: bbb"]]
    assert server.requests[0].document["dimensions"] == 8
    assert server.requests[0].headers["authorization"] == "Bearer sesame"


def test_endpoint__no_text_and_empty_text__nothing_and_a_space_are_sent(
    server: EmbeddingServer, embedder: Callable[..., OpenAIEndpoint]
) -> None:
    assert embedder().embed_passages([]).shape == (0, 8) and server.requests == []
    embedder().embed_passages(["", "\n", "\ud800"])
    assert server.requests[0].texts == [" ", " ", "?"]


def test_endpoint__dimension_unknown__is_asked_once(
    server: EmbeddingServer, embedder: Callable[..., OpenAIEndpoint]
) -> None:
    one = embedder(dimension=None)
    assert (one.dimension, one.dimension) == (8, 8)
    assert len(server.requests) == 1
    server.replies.append(vectors([1.0, 0.0]))
    with pytest.raises(WrongDimension, match="found vectors of dimension 2, expected 8"):
        one.embed_passages(["a"])


# --- what passes ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_endpoint__passing_refusal__is_tried_again(
    server: EmbeddingServer, embedder: Callable[..., OpenAIEndpoint], pauses: list[float], status: int
) -> None:
    server.replies += [Reply(status, {"error": {"message": "busy"}})] * 2
    assert embedder().embed_passages(["a"])[0].tolist() == unit("a")
    assert len(server.requests) == 3
    assert 0.25 <= pauses[0] <= 0.75 and 0.5 <= pauses[1] <= 1.5  # .5 s and 1 s, with jitter


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("7", 7, 7),
        ("86400", 60, 60),
        (formatdate(4_000_000_000, usegmt=True), 60, 60),
        ("soon", 0.25, 0.75),
        ("-5", 0.25, 0.75),
    ],
)
def test_endpoint__retry_after__is_kept_up_to_the_most(
    server: EmbeddingServer,
    embedder: Callable[..., OpenAIEndpoint],
    pauses: list[float],
    header: str,
    low: float,
    high: float,
) -> None:
    server.replies.append(Reply(429, {}, {"Retry-After": header}))
    embedder(max_wait_s=60).embed_passages(["a"])
    assert len(pauses) == 1 and low <= pauses[0] <= high


def test_endpoint__does_not_recover__says_what_it_answered_last(
    server: EmbeddingServer, embedder: Callable[..., OpenAIEndpoint]
) -> None:
    server.replies += [Reply(500, {"error": {"message": "out of memory"}})] * 3
    error = trouble(embedder(max_tries=3), ["a"])
    assert error.message == (
        f"The embedding endpoint {server.address}/v1/embeddings (model hashes) answered 500 (out of memory), "
        "at each of 3 tries."
    )
    assert error.http_status == 503 and len(server.requests) == 3


def test_endpoint__no_answer_in_time__is_tried_again_then_told(
    server: EmbeddingServer, embedder: Callable[..., OpenAIEndpoint]
) -> None:
    server.replies += [Reply(hang=True)] * 2
    error = trouble(embedder(timeout_s=0.1, max_tries=2), ["a"])
    assert error.message.endswith("did not answer in 0.1 s, at each of 2 tries.")


def test_endpoint__one_query_alone__is_given_up_after_two_tries(
    server: EmbeddingServer, embedder: Callable[..., OpenAIEndpoint], pauses: list[float]
) -> None:
    server.replies += [Reply(503, {}, {"Retry-After": "30"})] * 9
    with pytest.raises(EmbeddingTrouble, match="at each of 2 tries"):
        embedder().embed_queries(["what a person waits for"])
    assert (len(server.requests), pauses) == (2, [2.0])
    with pytest.raises(EmbeddingTrouble, match="at each of 5 tries"):
        embedder().embed_queries(["of", "an evaluation"])


def test_endpoint__nobody_listens__is_told(pauses: list[float]) -> None:
    options = endpoint_options({"base_url": "http://127.0.0.1:1/v1", "model": "m", "max_tries": 2})
    error = trouble(OpenAIEndpoint(options, sleep=pauses.append), ["a"])
    assert "could not be reached" in error.message and len(pauses) == 1


def test_endpoint__requests_per_minute__spaces_them(
    server: EmbeddingServer, embedder: Callable[..., OpenAIEndpoint], pauses: list[float]
) -> None:
    embedder(batch_size=1, requests_per_minute=6).embed_passages(["a", "b", "c"])
    assert len(pauses) == 2 and 9 < pauses[0] <= 10 and 19 < pauses[1] <= 20


# --- a batch that is refused --------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", [400, 413, 422])
def test_endpoint__batch_too_large__is_halved_until_it_fits(
    server: EmbeddingServer, embedder: Callable[..., OpenAIEndpoint], status: int
) -> None:
    def at_most_two(request: Request) -> Reply:
        return Reply(status, {"error": "too large"}) if len(request.texts) > 2 else server.good(request)

    server.replies += [at_most_two] * 20
    found = embedder().embed_passages(list("abcdefg"))
    assert [row.tolist() for row in found] == [unit(text) for text in "abcdefg"]
    assert [len(request.texts) for request in server.requests] == [7, 3, 1, 2, 4, 2, 2]


def test_endpoint__one_text_is_refused__it_is_named(
    server: EmbeddingServer, embedder: Callable[..., OpenAIEndpoint]
) -> None:
    def not_long(request: Request) -> Reply:
        long = any(len(text) > 100 for text in request.texts)
        return Reply(400, {"error": {"message": "maximum context length"}}) if long else server.good(request)

    server.replies += [not_long] * 9
    error = trouble(embedder(), ["a", "b", "x" * 101, "d"])
    assert f"refused the text {'x' * 60!r}… of 101 characters: it answered 400" in error.message
    assert "maximum context length" in error.message and "max_characters" in error.hint


# --- answers that cannot be used ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (vectors([1.0] * 8), "found 1 vectors, expected 2, one a text."),
        (vectors([1.0] * 8, [1.0] * 8, [1.0] * 8), "found 3 vectors, expected 2, one a text."),
        (vectors([1.0] * 8, [float("nan")] * 8), "found NaN, Infinity or null in vector 1"),
        (vectors([1.0] * 7 + [float("inf")], [1.0] * 8), "found NaN, Infinity or null in vector 0"),
        (vectors([1.0] * 8, [None] * 8), "found NaN, Infinity or null in vector 1"),
        (vectors([0.0] * 8, [1.0] * 8), "vector 0 is all zero"),
        (vectors([1.0] * 4, [1.0] * 4), "found vectors of dimension 4, expected 8."),
        (vectors([], []), "found vectors of dimension 0, expected 8."),
        (vectors(["1"] * 8, [1.0] * 8), "answered with a vector of str, expected a list of numbers"),
        (vectors([True] * 8, [1.0] * 8), "answered with a vector of bool, expected a list of numbers"),
        (vectors("AAAA", [1.0] * 8), "answered with a vector of str, expected a list of numbers"),
        (vectors([[1.0]] * 8, [1.0] * 8), "answered with a vector of list, expected a list of numbers"),
        (vectors([1.0] * 8, [1.0] * 8, indexes=[0, 0]), "answered with the indexes [0, 0], expected 0 to 1"),
        (vectors([1.0] * 8, [1.0] * 8, indexes=[0, None]), "answered with the indexes [0, None]"),
        (Reply(body=b"<html>hello</html>"), "answered b'<html>hello</html>', expected {\"data\""),
        (Reply(body=b"\xff\xfe"), 'expected {"data"'),
        (Reply(body=b"[" * 50_000), 'expected {"data"'),
        (Reply(body=[]), 'expected {"data"'),
        (Reply(body={"data": [1, 2]}), 'expected {"data"'),
        (Reply(body={"data": None}), 'expected {"data"'),
        (Reply(204, b""), "answered 204"),
        (Reply(404, {"error": {"message": "no such model"}}), "answered 404 (no such model)."),
        (Reply(body=b"not packed", headers={"Content-Encoding": "gzip"}), "cannot be unpacked"),
    ],
)
def test_endpoint__unusable_answer__is_told_at_once(
    server: EmbeddingServer, embedder: Callable[..., OpenAIEndpoint], reply: Reply, message: str
) -> None:
    server.replies.append(reply)
    error = trouble(embedder(), ["a", "b"])
    assert message in error.message
    assert error.message.startswith(f"The embedding endpoint {server.address}/v1/embeddings (model hashes)")
    assert len(server.requests) == 1


def test_endpoint__huge_body__is_not_read_to_its_end(
    server: EmbeddingServer, embedder: Callable[..., OpenAIEndpoint]
) -> None:
    server.replies.append(Reply(body=b" " * 5_000_000))
    assert trouble(embedder(), ["a"]).message.endswith("answered with more than 577536 bytes for 1 texts.")


def test_endpoint__redirect__is_not_followed(
    server: EmbeddingServer, embedder: Callable[..., OpenAIEndpoint]
) -> None:
    server.replies.append(Reply(307, b"", {"Location": f"{server.address}/elsewhere"}))
    assert trouble(embedder(), ["a"]).message.endswith("answered 307: redirects are not followed.")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_endpoint__key_is_refused__the_key_is_not_told(
    server: EmbeddingServer,
    embedder: Callable[..., OpenAIEndpoint],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    monkeypatch.setenv("TEST_EMBEDDING_KEY", "sesame")
    server.replies.append(Reply(status, {"error": {"message": "bad key sesame"}}))
    error = trouble(embedder(api_key_env="TEST_EMBEDDING_KEY"), ["a"])
    assert error.hint == "Check the key in the environment variable TEST_EMBEDDING_KEY."
    assert "bad key …" in error.message and "sesame" not in json.dumps(error.as_dict())


@pytest.mark.parametrize("value", [None, "", "two\nlines", "schlüssel"])
def test_endpoint__no_usable_key__nothing_is_sent(
    server: EmbeddingServer,
    embedder: Callable[..., OpenAIEndpoint],
    monkeypatch: pytest.MonkeyPatch,
    value: str | None,
) -> None:
    monkeypatch.delenv("TEST_EMBEDDING_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("TEST_EMBEDDING_KEY", value)
    error = trouble(embedder(api_key_env="TEST_EMBEDDING_KEY"), ["a"])
    assert "the environment variable TEST_EMBEDDING_KEY holds none that can be sent" in error.message
    assert server.requests == []


# --- options ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"model": "m"}, "Option base_url: found nothing"),
        ({"base_url": "https://e.org"}, "Option model: found nothing"),
        (
            {"base_url": "https://e.org", "model": "m", "api_key": "k"},
            "Option api_key: an endpoint has no such",
        ),
        ({"base_url": "ftp://e.org", "model": "m"}, "Option base_url: found no http or https address."),
        ({"base_url": "https://", "model": "m"}, "Option base_url: found no http or https address."),
        ({"base_url": "https://[::1", "model": "m"}, "Option base_url: found no http or https address."),
        ({"base_url": "https://e.org:99999", "model": "m"}, "Option base_url: found no http or https"),
        ({"base_url": "https://me:pw@e.org", "model": "m"}, "Option base_url: found a user, a password"),
        ({"base_url": "http://e.org", "model": "m"}, "Option base_url: found http to e.org, expected https."),
        (
            {"base_url": "http://10.0.0.7", "model": "m", "api_key_env": "K", "allow_http": True},
            "Option base_url: found http to 10.0.0.7 with a key, expected https.",
        ),
        (
            {"base_url": "https://e.org", "model": "m", "batch_size": 0},
            "Option batch_size: found 0, expected 1",
        ),
        ({"base_url": "https://e.org", "model": "m", "batch_size": True}, "found True, expected int"),
        ({"base_url": "https://e.org", "model": "m", "timeout_s": "60"}, "found '60', expected float"),
        ({"base_url": "https://e.org", "model": 7}, "Option model: found 7, expected str."),
    ],
)
def test_endpoint_options__unusable__are_told(document: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        endpoint_options(document)
    assert message in caught.value.message


def test_endpoint_options__key_in_place_of_its_name__is_not_repeated() -> None:
    with pytest.raises(BadInput) as caught:
        endpoint_options({"base_url": "https://e.org", "model": "m", "api_key_env": "sk-123"})
    assert "sk-123" not in json.dumps(caught.value.as_dict())


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1/embeddings"),
        ("http://localhost:11434/v1/", "http://localhost:11434/v1/embeddings"),
        ("http://[::1]:8080", "http://[::1]:8080/embeddings"),
        ("https://e.org/x?api-version=1", "https://e.org/x/embeddings?api-version=1"),
    ],
)
def test_endpoint_options__base_url__is_completed(base_url: str, url: str) -> None:
    assert endpoint_options({"base_url": base_url, "model": "m"}).url == url


def test_endpoint_options__http_to_a_network_of_ones_own__can_be_allowed() -> None:
    assert endpoint_options({"base_url": "http://10.0.0.7/v1", "model": "m", "allow_http": True}).allow_http
