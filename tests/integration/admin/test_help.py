"""Help: the guide in the console."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from goldenproject.kit import guide

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> Client:
    """A person who may enter the console and has no role at all."""
    client = Client()
    client.force_login(User.objects.create_user("reader", is_staff=True))
    return client


def write_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "page.md").write_text(text)
    monkeypatch.setattr(guide, "FOLDER", tmp_path)


def test_help__each_page_of_the_guide__is_shown_with_its_headings(reader: Client) -> None:
    pages = guide.guide_pages()
    assert len(pages) >= 1
    for page in pages:
        answer = reader.get(f"/admin/help/{page.name}/")
        assert answer.status_code == 200
        html = answer.content.decode()
        assert f'aria-current="page">{page.title}</a>' in html
        anchors = re.findall(r'class="gd-help-heading" href="#([^"]+)"', html)
        assert len(anchors) == len(re.findall(r"^## ", page.path.read_text(), re.MULTILINE))
        assert all(f'id="{anchor}"' in html for anchor in anchors)


def test_help__no_page_named__shows_the_first(reader: Client) -> None:
    assert (
        f'aria-current="page">{guide.guide_pages()[0].title}</a>'
        in reader.get("/admin/help/").content.decode()
    )


def test_help__links_and_pictures_of_all_pages__lead_somewhere(reader: Client) -> None:
    for page in guide.guide_pages():
        html = reader.get(f"/admin/help/{page.name}/").content.decode()
        article = html.partition('<article class="gd-prose">')[2].partition("</article>")[0]
        assert "<a>" not in article, f"{page.name}: a link that leads nowhere"
        targets = re.findall(r'(?:href|src)="(/admin/[^"#]+)(?:#([^"]+))?"', article)
        for address, anchor in targets:
            answer = reader.get(address)
            assert answer.status_code == 200, f"{page.name}: {address}"
            if answer.streaming:  # a file; reading it to its end closes it
                assert b"".join(answer.streaming_content)
            elif anchor:
                assert f'id="{anchor}"' in answer.content.decode(), f"{page.name}: {address}#{anchor}"


@pytest.mark.parametrize("name", ["nothing", "..%2f..%2fREADME", "page.md"])
def test_help__page_that_is_not_there__is_not_found(reader: Client, name: str) -> None:
    assert reader.get(f"/admin/help/{name}/").status_code == 404


@pytest.mark.parametrize(
    "name", ["../commands.md", "images/nothing.png", "commands.md", "examples/../commands.md"]
)
def test_help__file_that_is_not_there__is_not_found(reader: Client, name: str) -> None:
    assert reader.get(f"/admin/help/files/{name}").status_code == 404


@pytest.mark.parametrize("user", [None, {"is_staff": False}])
def test_help__person_who_may_not_enter_the_console__is_sent_to_sign_in(user: dict[str, Any] | None) -> None:
    client = Client()
    if user is not None:
        client.force_login(User.objects.create_user("outsider", **user))
    answer = client.get("/admin/help/")
    assert answer.status_code == 302
    assert answer["Location"] == "/admin/login/?next=/admin/help/"


def test_help__raw_html_in_a_page__is_shown_as_text(
    reader: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_page(tmp_path, monkeypatch, "# Page\n\nA <b onclick='x()'>b</b>\n\n<script>alert(1)</script>\n")
    html = reader.get("/admin/help/page/").content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<b onclick" not in html


def test_help__link_out_of_the_guide__has_no_target(
    reader: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_page(
        tmp_path, monkeypatch, "# Page\n\n[x](javascript:alert(1)) [y](../settings/base.py) [z](page.md#a)\n"
    )
    html = reader.get("/admin/help/page/").content.decode()
    assert '<p><a>x</a> <a>y</a> <a href="/admin/help/page/#a">z</a></p>' in html


def test_help__picture_of_the_guide__is_served(
    reader: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_page(tmp_path, monkeypatch, "# Page\n\n![p](images/p.png)\n")
    (tmp_path / "images" / "p.png").write_bytes(b"\x89PNG")
    assert (
        '<img alt="p" src="/admin/help/files/images/p.png" />'
        in reader.get("/admin/help/page/").content.decode()
    )
    answer = reader.get("/admin/help/files/images/p.png")
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/png")
    assert b"".join(answer.streaming_content) == b"\x89PNG"
