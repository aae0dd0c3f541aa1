"""The page that specifies the feed protocol names every message, code and clause there is, and its example is real."""

import re
from pathlib import Path
from typing import get_args

import msgspec

from broker.feeds.protocol.card import CLAUSES
from broker.feeds.protocol.stage import KEY
from contracts.feed.damping import Damping
from contracts.feed.messages import VERSION, Announce, Message, Reply
from contracts.feed.sealed import contents_of, decode_batch, sealed_bytes
from contracts.feed.wire import canonical, decode, is_signed, message_of, offer_hash, public_key_of, signed_bytes, table_hash

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "infra" / "docs" / "feed-protocol.md").read_text()
SOURCES = "".join(path.read_text() for path in [*(ROOT / "contracts" / "feed").glob("*.py"), ROOT / "broker/feeds/protocol/sides.py"])


def test_the_example_is_signed_as_the_page_says():
    envelope = decode(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0].encode())
    assert is_signed(envelope.signature, signed_bytes(envelope), public_key=public_key_of(KEY))
    assert f"`{signed_bytes(envelope).decode()}`" in PAGE
    assert public_key_of(KEY) in PAGE
    offer = message_of(envelope)
    assert isinstance(offer, Announce)
    assert table_hash([offer_hash(offer)]) in PAGE
    assert canonical(offer) == canonical(envelope.payload)


def test_the_example_of_a_batch_is_signed_as_the_page_says():
    text = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[1]
    batch = decode_batch(text.encode())
    assert batch is not None
    assert is_signed(batch.signature, sealed_bytes(batch), public_key=public_key_of(KEY))
    assert f"`{sealed_bytes(batch).decode()}`" in PAGE
    assert [type(each).__name__ for each in contents_of(batch).messages or ()] == ["Price", "Withdraw"]


def test_every_message_and_member_is_on_the_page():
    for struct in (*get_args(Message), *get_args(Reply)):
        tag = struct.__struct_config__.tag
        (line,) = (line for line in PAGE.splitlines() if line.startswith("|") and f"`{tag}`" in line.split("|")[1])
        members = {field.name for field in msgspec.structs.fields(struct)}
        assert members <= set(re.findall(r"\w+", line)), f"{tag} lacks members on the page"


def test_every_code_is_on_the_page_and_no_other():
    codes = re.findall(r'(?:code=|refusal\(\w+, |Fault\(|return |code = )"([a-z]+(?:_[a-z]+)+|malformed|unreadable)"', SOURCES)
    codes += re.findall(r'"(unknown_key|version_reused|unknown_type)"', SOURCES)
    section = PAGE.split("## 6. Codes")[1].split("## 7.")[0]
    assert set(re.findall(r"`([a-z_]+)`", section)) - {"field"} == set(codes)


def test_every_clause_is_on_the_page_in_its_own_words():
    for part, clause in CLAUSES:
        assert f"| {part} | {clause.__name__.replace('_', ' ')} | {clause.__doc__} |" in PAGE


def test_the_page_has_the_points_and_the_version():
    rules = Damping()
    for points in (rules.withdraw, rules.change, rules.price, rules.suppress, rules.reuse, rules.ceiling):
        assert f"{points:,}" in PAGE
    assert f"version {VERSION}" in PAGE.splitlines()[0]
