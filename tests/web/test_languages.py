"""Languages: every sentence has its translation, every page says which language it is in, and a choice is kept."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from tests.fake_market import FakeMarket
from tests.web.catalogues import entries, sentences
from web import i18n
from web.asgi import site
from web.i18n import LANGUAGES, LOCALES

BLANK = re.compile(r"%\((\w+)\)s")
TRANSLATED = [language for language in LANGUAGES if language != i18n.ENGLISH]
CATALOGUES = sorted(LOCALES.glob("*/*.po"))
HAN = re.compile(r"[一-鿿]")


@pytest.fixture(scope="module")
def client():
    with TestClient[Litestar](site(FakeMarket())) as client:
        yield client


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_sentence_of_a_desk_with_a_catalogue_is_translated(language):
    """What fails here is printed as it would stand in the catalogue."""
    desks = {path.stem for path in (LOCALES / language).glob("*.po")}
    known = {one for path in (LOCALES / language).glob("*.po") for one, *_ in entries(path)}
    missing = {said.one: said for said in sentences() if said.desk in desks and said.one not in known}
    assert [f'# {said.desk} {said.place}\nmsgid "{one}"\nmsgstr ""' for one, said in missing.items()] == []


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_catalogue_holds_nothing_the_pages_do_not_say_and_leaves_nothing_open(path):
    said = {each.one: each.many for each in sentences()}
    for one, many, forms, unsure in entries(path):
        assert one in said, f"no page says {one!r}"
        assert said[one] is None or many == said[one]
        assert not unsure, one
        for form in forms:
            assert form, f"{one!r} is not translated"
            assert set(BLANK.findall(form)) <= set(BLANK.findall(one + (many or ""))), f"{form!r} names what {one!r} does not know"
            if blanks := BLANK.findall(form):
                assert form % dict.fromkeys(blanks, "x")


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_two_catalogues_differ_on_a_sentence_and_none_says_it_twice(language):
    seen: dict[str, tuple[str, ...]] = {}
    for path in sorted((LOCALES / language).glob("*.po")):
        ids = re.findall(r'^msgid "(.+)"$', path.read_text(), flags=re.MULTILINE)
        assert [one for one, times in Counter(ids).items() if times > 1] == [], path.name
        for one, _, forms, _ in entries(path):
            assert seen.setdefault(one, forms) == forms, f"{one!r} is translated in two ways"


def test_the_address_decides_then_the_cookie_then_the_browser(client):
    assert '<html lang="en">' in client.get("/sign-in").text
    preferring = {"Accept-Language": "fr, zh-CN;q=0.8, en;q=0.5"}
    assert '<html lang="zh-Hans">' in client.get("/sign-in", headers=preferring).text
    assert '<html lang="en">' in client.get("/sign-in?lang=en", headers=preferring).text
    assert '<html lang="en">' in client.get("/sign-in", headers=preferring).text, "the choice was not kept"
    client.cookies.clear()


def test_a_switch_leads_to_the_same_page_and_back(client):
    page = client.get("/find?tier=standard&countries=FI&countries=NO").text
    (address,) = re.findall(r'href="([^"]+)" lang="zh"', page)
    chinese = client.get(address.replace("&amp;", "&")).text
    assert '<html lang="zh-Hans">' in chinese
    assert 'value="standard" checked' in chinese
    (back,) = re.findall(r'href="([^"]+)" lang="en"', chinese)
    assert back == "/find?tier=standard&amp;countries=FI&amp;countries=NO&amp;lang=en"
    client.cookies.clear()


def test_a_page_that_is_not_there_says_so_in_the_readers_language(client):
    assert '<html lang="zh-Hans">' in client.get("/nowhere", headers={"Accept-Language": "zh"}).text


def test_machines_read_english_whoever_asks(client):
    answer = client.get("/v1/market/now", headers={"Accept-Language": "zh"})
    assert not HAN.search(answer.text)
    assert "Accept-Language" not in answer.headers.get("vary", "")


@given(st.text(max_size=60))
def test_whatever_a_browser_says_it_prefers_a_language_is_found(accepted):
    assert i18n.chosen_language(None, accepted=accepted) in LANGUAGES
