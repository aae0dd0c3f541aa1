"""Projects on the portal: made, renamed, archived and given to people at the account; their spend and budgets beside the account's."""

import re

import pytest
from litestar.testing import TestClient

from contracts import credentials
from contracts.people import Membership, Person
from tests.fake_market import KEY, NOW, OTHER_KEY, FakeMarket
from tests.web.desk import busy_market
from tests.web.test_pages import words
from tests.web.test_people import act, hidden, signed_up
from web.asgi import site

PROJECTS = "/account/projects"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    monkeypatch.setattr(credentials, "SCRYPT_LOG_N", 4)
    monkeypatch.setattr(credentials, "SCRYPT_P", 1)


@pytest.fixture
def client():
    with TestClient(site(busy_market())) as client:
        client.cookies.set("gridfare_key", KEY)
        yield client


def test_an_owner_makes_renames_archives_and_restores_a_project(client):
    made = act(client, PROJECTS, PROJECTS, name=" night   runs ")
    assert made.status_code == 303
    project = re.search(r"#(prj_\w+)$", made.headers["location"])[1]
    assert "night runs" in words(client.get(PROJECTS).text)
    assert act(client, PROJECTS, PROJECTS, name="NIGHT runs").status_code == 409
    assert act(client, f"{PROJECTS}/{project}/rename", PROJECTS, name="day runs").headers["location"] == f"{PROJECTS}#{project}"
    act(client, f"{PROJECTS}/{project}/archive", PROJECTS)
    shown = words(client.get(PROJECTS).text)
    assert "day runs · archived Who may buy nobody, it is archived" in shown
    assert shown.index("Night renders") < shown.index("day runs"), "what is archived stands last"
    act(client, f"{PROJECTS}/{project}/restore", PROJECTS)
    assert "day runs · archived" not in words(client.get(PROJECTS).text)


def test_a_form_sent_twice_makes_one_project_and_anothers_form_none(client):
    page = client.get(PROJECTS).text
    sent = {"token": hidden(page), "once": hidden(page, "once"), "name": "twice"}
    first, second = (client.post(PROJECTS, data=sent, follow_redirects=False) for _ in range(2))
    assert first.headers["location"] == second.headers["location"]
    assert client.post(PROJECTS, data={"token": "guessed", "name": "forged"}, follow_redirects=False).status_code == 403
    assert words(client.get(PROJECTS).text).count("twice") == 1
    refused = act(client, PROJECTS, PROJECTS, name="")
    assert refused.status_code == 400
    assert f'href="{PROJECTS}"' in refused.text, "and the way back to the form"


def test_an_owner_says_which_people_buy_for_a_project():
    market = FakeMarket()
    with TestClient(site(market)) as client:
        signed_up(client)
        account = next(iter(market.people.accounts))
        grace = Person(id="prs_grace", email="grace@example.org", name="Grace", created_at=NOW)
        market.people.people[grace.id] = grace
        market.people.roles[account, grace.id] = Membership(party=account, person_id=grace.id, role="buyer", since=NOW)
        made = act(client, PROJECTS, PROJECTS, name="night")
        address = f"{PROJECTS}/{made.headers['location'].partition('#')[2]}/members"
        assert act(client, address, PROJECTS, who="named", people="prs_grace").status_code == 303
        assert "Who may buy owners, Grace" in words(client.get(PROJECTS).text)
        act(client, address, PROJECTS, who="named")
        assert "Who may buy owners Budget" in words(client.get(PROJECTS).text)
        assert act(client, address, PROJECTS, who="named", people="prs_nobody").status_code == 400
        assert act(client, address, PROJECTS, who="whoever").status_code == 400
        act(client, address, PROJECTS, who="everybody")
        assert "Who may buy owners" not in words(client.get(PROJECTS).text)


def test_who_may_not_change_projects_reads_them(client):
    client.cookies.set("gridfare_key", OTHER_KEY)
    page = client.get(PROJECTS).text
    assert "An owner of the organisation makes projects" in page
    assert "<form" not in re.search(r"<main.*</main>", page, flags=re.DOTALL).group()
    assert client.post(PROJECTS, data={"name": "mine"}, follow_redirects=False).status_code == 403


def test_spend_is_told_apart_by_project(client):
    """2,100.80 was delivered for the night renders; 96.00 is agreed for nothing in particular: 96 and 4 of a hundred."""
    text = words(client.get("/spend").text)
    assert "96 % of what is spent and agreed is for Night renders." in text
    assert "Night renders 1,040.00 2,100.80 0.00" in text
    assert "Default project – 0.00 96.00" in text
    assert "Old look" not in text, "archived, and bought nothing"


def test_a_projects_page_shows_its_months_its_leases_and_its_budget(client):
    address = "/spend/projects/prj_nig"
    text = words(client.get(address).text)
    assert "Night renders: 2,100.80 USD in January 2027" in text
    assert "lse_running H100-SXM 1,040.00 2,100.80" in text
    assert "Night renders: 5,009.60 USD in December 2026" in words(client.get(f"{address}?period=1").text)
    assert client.get("/spend/projects/nobody").status_code == 404
    assert client.get(f"{address}?period=9").status_code == 404
    page = client.get(address).text
    sent = {"token": hidden(page), "once": hidden(page, "once"), "limit": "4000", "alert": "50, 90", "project": "prj_nig"}
    assert client.post("/spend/budget", data=sent, follow_redirects=False).headers["location"] == f"{address}#budget"
    assert "4,000.00" in words(client.get(address).text)
    assert "4,000.00 0 % used" in words(client.get("/spend").text)
    assert "None is set: only your credit" in client.get("/spend").text, "the account's own is another one"


def test_a_bid_and_a_quote_are_for_the_project_that_is_chosen(client):
    """The choice is there for who has one, says only what may be bought for, and stands in the bid form's address."""
    address = "/bids/new?hardware=H100-SXM&quantity=8&hours=4&limit=2.50&project=prj_nig"
    page = client.get(address).text
    assert '<option value="prj_nig" selected>Night renders</option>' in page
    assert "Old look" not in page
    fields = {name: hidden(page, name) for name in ("token", "once", "seen")}
    sent = fields | {"hardware": "H100-SXM", "quantity": "8", "hours": "4", "tier": "spot", "limit": "2.50", "act": "enter"}
    entered = client.post("/bids/new", data=sent | _window(page) | {"project": "prj_nig"}, follow_redirects=False)
    bid = client.get("/v1" + entered.headers["location"], headers={"Authorization": f"Bearer {KEY}"}).json()
    assert bid["request"]["project"] == "prj_nig"
    found = client.get("/find?hardware=H100-SXM&quantity=8&hours=4").text
    chosen = {"token": hidden(found), "once": hidden(found, "once"), "offer": "/4/H100-SXM", "hardware": "H100-SXM", "project": "prj_nig"}
    held = client.post("/quotes", data=chosen, follow_redirects=False).headers["location"].partition("?")[0]
    assert client.get("/v1" + held, headers={"Authorization": f"Bearer {KEY}"}).json()["project_id"] == "prj_nig"
    client.cookies.clear()
    for page in ("/find?hardware=H100-SXM", address):
        assert 'name="project"' not in client.get(page).text, "who has not signed in has no projects"


def _window(page: str) -> dict[str, str]:
    return {name: re.search(rf'name="{name}" value="([^"]+)"', page)[1] for name in ("start", "end")}


def test_who_has_no_projects_is_told_that_there_are_some(client):
    with TestClient(site(FakeMarket())) as other:
        other.cookies.set("gridfare_key", KEY)
        assert "Everything is bought for one project, the default one." in words(other.get("/spend").text)
        assert "What is bought may be told apart by project." in words(other.get(PROJECTS).text)


@pytest.mark.parametrize("address", [PROJECTS, "/spend", "/spend/projects/prj_nig"])
def test_the_pages_are_read_in_chinese(client, address):
    main = re.search(r"<main.*</main>", client.get(address, headers={"Accept-Language": "zh"}).text, flags=re.DOTALL).group()
    text = words(re.sub(r"<code>.*?</code>", "", main)).replace("Night renders", "").replace("Old look", "")
    assert "预算" in text
    assert not re.search(r"\b(project|spend|spent|budget|lease|month|archived|nobody|owners)\b", text.lower().replace("lse_running", ""))
