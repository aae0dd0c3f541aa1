"""Which broker is meant, and the one law of keys: a key is shown to the address it was kept for and to no other."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.client.profiles import HERE, BuyerSettings, Profile, Profiles, choose, read_profiles, read_settings, write_profiles
from contracts.terms.errors import BadInput, NotFound

ADDRESSES = ("http://one", "http://two", "https://three/", HERE)
urls = st.sampled_from(ADDRESSES)
names = st.sampled_from(["home", "work"])
# A key says where it belongs.
kept = st.dictionaries(names, urls.map(lambda url: Profile(url=url, key=f"key of {url.rstrip('/')}")))


@given(kept=kept, current=st.none() | names, stated=st.none() | urls, asked=st.none() | urls, name=st.none() | names)
def test_a_key_is_shown_to_its_own_address_only(kept, current, stated, asked, name):
    profiles = Profiles(current=current if current in kept else None, known=kept)
    key = f"key of {stated.rstrip('/')}" if stated else None
    settings = BuyerSettings(url=stated, key=key, file=Path("brokers.json"))
    try:
        chosen = choose(settings, profiles, url=asked, name=name)
    except NotFound:
        assert name not in kept
    except BadInput:
        assert asked is not None
        assert name is not None
    else:
        assert chosen.key in (None, f"key of {chosen.url.rstrip('/')}")
        assert asked in (None, chosen.url)


def test_the_line_goes_before_the_environment_and_that_before_what_is_kept():
    kept = Profiles(current="home", known={"home": Profile(url="http://one", key="a"), "work": Profile(url="http://two", key="b")})
    none = BuyerSettings(file=Path("f"))
    assert choose(none, Profiles(), url=None, name=None) == Profile(url=HERE)
    assert choose(none, kept, url=None, name=None) == Profile(url="http://one", key="a")
    assert choose(none, kept, url="http://two/", name=None) == Profile(url="http://two/", key="b")
    assert choose(none, kept, url=None, name="work") == Profile(url="http://two", key="b")
    stated = BuyerSettings(url="http://one", key="mine", file=Path("f"))
    assert choose(stated, kept, url=None, name=None) == Profile(url="http://one", key="mine")
    assert choose(stated, kept, url="http://two", name=None) == Profile(url="http://two", key="b")
    assert choose(BuyerSettings(profile="work", file=Path("f")), kept, url=None, name=None).key == "b"


def test_the_environment_is_read_and_an_empty_word_is_none():
    read = read_settings({"GRIDFARE_URL": "http://one", "GRIDFARE_KEY": "", "HOME": "/srv/ada"})
    assert read == BuyerSettings(url="http://one", file=Path("/srv/ada/.config/gridfare/brokers.json"))
    assert read_settings({"XDG_CONFIG_HOME": "/c"}).file == Path("/c/gridfare/brokers.json")
    assert read_settings({"GRIDFARE_BROKERS": "here.json"}).file == Path("here.json")


@given(kept=kept, current=st.none() | names)
def test_what_is_kept_is_read_back(tmp_path_factory, kept, current):
    path = tmp_path_factory.mktemp("home") / "deep" / "brokers.json"
    profiles = Profiles(current=current, known=kept)
    write_profiles(path, profiles)
    assert read_profiles(path) == profiles
    assert (stat.S_IMODE(path.stat().st_mode), [each.name for each in path.parent.iterdir()]) == (0o600, ["brokers.json"])


def test_the_file_is_nobody_elses_whatever_the_mask(tmp_path):
    before = os.umask(0)
    try:
        write_profiles(tmp_path / "brokers.json", Profiles())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "brokers.json").stat().st_mode) == 0o600


def test_a_file_that_is_none_is_refused(tmp_path):
    path = tmp_path / "brokers.json"
    path.write_text("{")
    path.chmod(0o600)
    with pytest.raises(BadInput, match="none of kept brokers"):
        read_profiles(path)
    path.chmod(0o640)
    with pytest.raises(BadInput, match="others may read"):
        read_profiles(path)


def test_no_key_is_written_out():
    shown = repr(Profile(url="http://one", key="gf_secret")) + repr(BuyerSettings(key="gf_secret", file=Path("f")))
    shown += repr(Profiles(known={"home": Profile(url="http://one", key="gf_secret")}))
    assert "gf_secret" not in shown
