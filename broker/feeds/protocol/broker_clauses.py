"""The clauses a broker keeps. Each plays a provider by hand and looks at the table."""

from datetime import timedelta

import msgspec

from broker.feeds.protocol.stage import ISSUER_KEY, OTHER_KEY, PROVIDER, Sides, an_offer, codes, require, script
from contracts.feed.messages import (
    Announce,
    Attestation,
    Capacity,
    Heartbeat,
    Maint,
    Nack,
    Pause,
    Price,
    Reclaim,
    Resume,
    Rotate,
    SnapshotBegin,
    SnapshotEnd,
    Withdraw,
)
from contracts.feed.wire import attested_bytes, offer_hash, proof_bytes, public_key_of, table_hash

# More at once than any quota in use allows, said in batches so that no line is too slow for it.
FLOOD_MOST, FLOOD_BATCH = 5_000, 20
UNREADABLE = (b"", b"{}", b"[" * 40_000, b'{"provider":"x"}', b"\xff\xfe")


def taken_in_order(sides: Sides) -> None:
    """A greeting is welcomed, a snapshot makes the table, each change is acknowledged and seen."""
    play = script(sides)
    require("welcome" in codes(play.hello()), "a first hello was not welcomed")
    require(codes(play.snapshot(an_offer("a"), an_offer("b"))) == ["ack"], "a complete snapshot was not acknowledged")
    play.say(Price(offer_id="a", version=2, rate_micros=1_500_000))
    play.say(Capacity(offer_id="a", version=3, quantity=4))
    play.say(Withdraw(offer_id="b"))
    row = play.table().get("a")
    require(row is not None and (row.version, row.rate_micros, row.quantity, row.state) == (3, 1_500_000, 4, "live"), f"a was {row}")
    require("b" not in play.table(), "a withdrawn offer is still shown")


def repeated_is_acknowledged_again(sides: Sides) -> None:
    """The same message twice is one message."""
    play = script(sides).opened(an_offer())
    first = play.wire(Price(offer_id="ofr_1", version=2, rate_micros=9), seq=play.seq + 1)
    second = play.wire(Withdraw(offer_id="ofr_1"), seq=play.seq + 2)
    third = play.wire(an_offer(version=3), seq=play.seq + 3)
    for wire in (first, second, third):
        play.send(wire)
    require(codes(play.send(second)) == ["ack"], "a repeated message was not simply acknowledged")
    require(play.row("ofr_1").version == 3, "a repeated withdrawal took the offer away again")


def one_number_one_content(sides: Sides) -> None:
    """Another message under a used number is a protocol error; nothing is booked until a greater epoch."""
    play = script(sides).opened(an_offer())
    contradiction = play.wire(Withdraw(offer_id="ofr_1"), seq=play.seq)
    require(codes(play.send(contradiction)) == ["sequence_reused"], "two contents under one number were let pass")
    require(not play.may_book("ofr_1", version=1), "still booked after a protocol error")


def never_out_of_order(sides: Sides) -> None:
    """After a gap nothing is applied until what is missing has come."""
    play = script(sides).opened(an_offer())
    missing = play.wire(Price(offer_id="ofr_1", version=2, rate_micros=5), seq=play.seq + 1)
    early = play.wire(Price(offer_id="ofr_1", version=3, rate_micros=7), seq=play.seq + 2)
    replies = play.send(early)
    require(codes(replies) == ["resync"] and getattr(replies[0], "from_seq", 0) == play.seq + 1, "a gap was not asked for")
    require(play.row("ofr_1").version == 1, "a message was applied before its turn")
    play.send(missing)
    play.send(early)
    require(play.row("ofr_1").rate_micros == 7, "the missing message did not close the gap")


def half_a_snapshot_is_nothing(sides: Sides) -> None:
    """Until its end has come a snapshot changes nothing; then everything at once."""
    play = script(sides).opened(an_offer("a"), an_offer("b"))
    new = [an_offer("a", version=2), an_offer("c")]
    play.say(SnapshotBegin(generation=99, count=2, hash=table_hash(map(offer_hash, new))))
    require(set(play.table()) == {"a", "b"}, "the beginning of a snapshot changed the table")
    for offer in new:
        play.say(offer)
        rows = {name: row.version for name, row in play.table().items()}
        require(rows == {"a": 1, "b": 1}, "half a snapshot changed the table")
    play.say(SnapshotEnd(generation=99))
    require({name: row.version for name, row in play.table().items()} == {"a": 2, "c": 1}, "a whole snapshot did not replace the table")


def a_wrong_snapshot_is_nothing(sides: Sides) -> None:
    """Wrong hash, too few offers, an offer twice: the table stays, and a snapshot is asked for."""
    for count, offers in ((2, [an_offer("b")]), (1, [an_offer("b", quantity=9)]), (2, [an_offer("b"), an_offer("b")])):
        play = script(sides).opened(an_offer("a"))
        play.say(SnapshotBegin(generation=99, count=count, hash=table_hash([offer_hash(an_offer("b"))])))
        for offer in offers:
            play.say(offer)
        replies = play.say(SnapshotEnd(generation=99))
        require("ack" not in codes(replies), "a wrong snapshot was acknowledged")
        require(set(play.table()) == {"a"}, f"a wrong snapshot of {len(offers)} for {count} changed the table")


def forged_is_refused(sides: Sides) -> None:
    """A message by another key, or changed on its way, changes nothing and costs its victim nothing."""
    play = script(sides).opened(an_offer())
    good = play.wire(Withdraw(offer_id="ofr_1"), seq=play.seq + 1)
    for _ in range(200):
        play.send(play.wire(Withdraw(offer_id="ofr_1"), seq=play.seq + 1, key=OTHER_KEY))
    require(codes(play.send(good.replace(b"ofr_1", b"ofr_2"))) == ["bad_signature"], "a changed message passed")
    require("ofr_1" in play.table(), "a forged message was applied")
    require(
        codes(play.say(Price(offer_id="ofr_1", version=2, rate_micros=1))) == ["ack"], "forgeries used up the victim's numbers or quota"
    )


def a_batch_is_its_messages(sides: Sides) -> None:
    """Messages under one signature are taken as each would be alone, one refused among them too; said again, they change nothing."""
    play = script(sides).opened(an_offer("a"), an_offer("b"))
    batch = play.batch(Price(offer_id="a", version=2, rate_micros=5), Withdraw(offer_id="nobody"), an_offer("c"), Withdraw(offer_id="b"))
    replies = play.send(batch)
    require(codes(replies) == ["ack", "unknown_offer", "ack"], f"a batch of four, the second at fault, was answered by {codes(replies)}")
    found = {name: row.version for name, row in play.table().items()}
    require(found == {"a": 2, "c": 1}, f"after the batch the table was {found}")
    require(codes(play.send(batch)) == ["ack"], "the same batch again was not simply acknowledged")
    require({name: row.version for name, row in play.table().items()} == found, "the same batch again changed the table")
    require(
        codes(play.say(Capacity(offer_id="a", version=3, quantity=1))) == ["ack"], "after a batch of four the fifth number was not next"
    )


def a_batch_is_signed_whole(sides: Sides) -> None:
    """A batch by another key, or with a message replaced, changes nothing and costs its victim nothing."""
    play = script(sides).opened(an_offer("a"), an_offer("b"))
    good = play.batch(Withdraw(offer_id="a"), Price(offer_id="b", version=2, rate_micros=5))
    play.seq -= 2
    require(codes(play.send(play.batch(Withdraw(offer_id="a"), key=OTHER_KEY))) == ["unknown_key"], "a batch by a stranger passed")
    replaced = good.replace(b'"rate_micros":5', b'"rate_micros":1')
    require(codes(play.send(replaced)) == ["bad_signature"], "a batch with a message replaced passed")
    require({name: row.version for name, row in play.table().items()} == {"a": 1, "b": 1}, "a forged batch was applied")
    require(codes(play.send(good)) == ["ack"], "forgeries used up the victim's numbers or quota")


def nonsense_is_refused(sides: Sides) -> None:
    """Bytes that are no message are refused, and the session goes on."""
    play = script(sides).opened(an_offer())
    for wire in UNREADABLE:
        require(codes(play.send(wire)) == ["unreadable"], f"{wire[:20]!r} was not refused")
    require(codes(play.say(Withdraw(offer_id="ofr_1"))) == ["ack"], "the session did not survive nonsense")


def a_flood_is_held_off(sides: Sides) -> None:
    """Too many messages are refused with a time to wait; the session lives, and nothing is lost afterwards."""
    play = script(sides).opened(an_offer())
    for first in range(2, FLOOD_MOST, FLOOD_BATCH):
        flood = [Capacity(offer_id="ofr_1", version=version, quantity=version) for version in range(first, first + FLOOD_BATCH)]
        held = [reply for reply in play.send(play.batch(*flood)) if isinstance(reply, Nack) and reply.code == "too_many_messages"]
        if held:
            break
    require(held, f"a flood of {FLOOD_MOST:,} messages in one moment was taken")
    wait = held[0].retry_after_seconds
    require(wait > 0 and play.states() == {"ofr_1": "live"}, "a flood cost the session")
    play.pass_seconds(wait)
    refused = flood[held[0].seq - play.seq - 1]
    again = play.wire(refused, seq=held[0].seq)
    require(codes(play.send(again)) == ["ack"], "the refused message was not taken after the wait")


def a_life_is_the_brokers(sides: Sides) -> None:
    """A time to live ends by the broker's clock, is never longer than its limit, and a renewal starts it again."""
    play = script(sides).opened(an_offer("short", ttl_seconds=60), an_offer("long", ttl_seconds=1_000_000))
    both = [an_offer("short", ttl_seconds=60), an_offer("long")]
    play.pass_seconds(20)
    play.say(Heartbeat(table_hash=table_hash(map(offer_hash, both))))
    play.pass_seconds(20)
    play.say(both[0])
    for _ in range(2):
        play.pass_seconds(25)
        play.say(Heartbeat(table_hash=table_hash(map(offer_hash, both))))
    require(set(play.table()) == {"short", "long"}, "a renewed offer ended with its first life")
    play.pass_seconds(15)
    require(set(play.table()) == {"long"}, "an offer outlived its time")
    for _ in range(40):
        play.say(Heartbeat(table_hash=table_hash([offer_hash(both[1])])))
        play.pass_seconds(25)
    require(play.table() == {}, "an offer outlived the broker's limit")


def silence_makes_stale_then_withdrawn(sides: Sides) -> None:
    """After the hold an offer is shown with its age and not booked; after the restart time it is gone."""
    play = script(sides).opened(an_offer())
    play.pass_seconds(29)
    require(play.may_book("ofr_1", version=1), "stale before the hold was over")
    play.pass_seconds(2)
    require(play.states() == {"ofr_1": "stale"}, f"silent beyond the hold, shown as {play.states()}")
    require(30 <= play.row("ofr_1").age_seconds <= 32, "a stale offer without its age")
    require(not play.may_book("ofr_1", version=1), "a stale offer was booked")
    play.pass_seconds(60)
    require(play.table() == {}, "silent beyond the restart time, and still shown")


def a_restart_keeps_offers(sides: Sides) -> None:
    """The same epoch inside the restart time, with the right hash, brings the offers back; with another it asks."""
    play = script(sides).opened(an_offer())
    play.pass_seconds(40)
    require(codes(play.hello(an_offer())) == ["welcome"], "the same table was asked for again")
    require(play.states() == {"ofr_1": "live"}, "a restart inside its time cost the offers")
    require(codes(play.hello()) == ["welcome", "resync"], "another table was believed")
    require(play.states() == {"ofr_1": "stale"}, "a table that is not the provider's was live")


def an_old_epoch_is_over(sides: Sides) -> None:
    """A greater epoch begins anew and is not believed before its snapshot; what the old one said is refused."""
    play = script(sides).opened(an_offer())
    late = play.wire(Withdraw(offer_id="ofr_1"), seq=play.seq + 1)
    play.epoch, play.seq = play.epoch + 1, 0
    play.hello(an_offer())
    require(play.states() == {"ofr_1": "stale"}, "offers of the old epoch were live before the new table came")
    play.snapshot(an_offer())
    require(codes(play.send(late)) == ["epoch_behind"], "a message of the old epoch was taken")
    require(play.states() == {"ofr_1": "live"}, "a message of the old epoch was applied")


def flapping_is_damped(sides: Sides) -> None:
    """An offer that keeps changing is shown and not booked, until it has kept still; prices may move more."""
    play = script(sides).opened(an_offer("moody"), an_offer("priced"))
    for version in range(2, 9):
        play.say(an_offer("moody", version=version, attributes={"site": f"s{version}"}))
        play.say(Price(offer_id="priced", version=version, rate_micros=version))
    require(play.states() == {"moody": "damped", "priced": "live"}, f"after seven changes each: {play.states()}")
    require(play.row("moody").reason, "damped without a reason")
    offers = [an_offer("moody", version=8, attributes={"site": "s8"}), an_offer("priced", version=8, rate_micros=8)]
    for _ in range(120):
        play.pass_seconds(25)
        for offer in offers:
            play.say(offer)
    require(play.states() == {"moody": "live", "priced": "live"}, "damped for ever")


def a_heartbeat_compares(sides: Sides) -> None:
    """A heartbeat with another hash makes the broker ask for the table, and book nothing before it came."""
    play = script(sides).opened(an_offer())
    require("resync" in codes(play.say(Heartbeat(table_hash="0" * 64))), "another hash, and nothing was asked")
    require(play.states() == {"ofr_1": "stale"}, "booked from a table known to be wrong")
    play.snapshot(an_offer(version=2))
    require(play.states() == {"ofr_1": "live"}, "the snapshot did not mend it")


def keys_rotate(sides: Sides) -> None:
    """A new key is vouched for by the newest and proves itself; the old one counts only for the overlap."""
    play = script(sides).opened(an_offer())
    public_key = public_key_of(OTHER_KEY)
    stolen = Rotate(public_key=public_key, proof="0" * 128, overlap_seconds=10)
    require(codes(play.say(stolen)) == ["bad_proof"], "a key without proof was taken")
    proof = OTHER_KEY.sign(proof_bytes(PROVIDER, public_key)).hex()
    play.say(Rotate(public_key=public_key, proof=proof, overlap_seconds=10))
    require(codes(play.say(Price(offer_id="ofr_1", version=2, rate_micros=1))) == ["ack"], "the old key did not last the overlap")
    require(codes(play.say(Price(offer_id="ofr_1", version=3, rate_micros=2), key=OTHER_KEY)) == ["ack"], "the new key was refused")
    play.pass_seconds(11)
    require(codes(play.say(Withdraw(offer_id="ofr_1"))) == ["unknown_key"], "the old key outlived the overlap")


def the_unknown_is_kept(sides: Sides) -> None:
    """Unknown attributes are kept, unknown members do no harm, an unknown type is refused and the session goes on."""
    play = script(sides).opened(an_offer())
    attributes: dict[str, object] = {"cooling": {"kind": "immersion", "litres": [1, 2.5]}}
    play.seq += 1
    wire = play.wire(an_offer(version=2, attributes=attributes), seq=play.seq, extra={"colour": "green"})
    require(codes(play.send(wire)) == ["ack"], "an announce with a member of a later version was refused")
    require(play.row("ofr_1").attributes == attributes, "unknown attributes were lost")
    play.seq += 1
    wire = play.wire(Resume(), seq=play.seq, extra={"type": "weather"})
    require(codes(play.send(wire)) == ["unknown_type"], "an unknown type was not named as such")
    require(codes(play.say(Withdraw(offer_id="ofr_1"))) == ["ack"], "an unknown type cost the session")


def held_back_is_not_booked(sides: Sides) -> None:
    """A pause, and a maintenance window by the broker's clock, keep offers from being booked."""
    play = script(sides).opened(an_offer("a"), an_offer("b"))
    play.say(Pause(reason="audit"))
    require(play.states() == {"a": "paused", "b": "paused"}, "a pause did not hold the offers back")
    play.say(Resume())
    play.say(Maint(start=play.now + timedelta(seconds=10), end=play.now + timedelta(seconds=20), offer_ids=("a",)))
    require(play.states() == {"a": "live", "b": "live"}, "held back before the window")
    play.pass_seconds(10)
    require(play.states() == {"a": "paused", "b": "live"}, "not held back in the window, or the wrong one")
    play.pass_seconds(10)
    require(play.states() == {"a": "live", "b": "live"}, "held back after the window")


def a_reclaim_is_told(sides: Sides) -> None:
    """A lease taken back is told, and the table stays."""
    play = script(sides).opened(an_offer())
    before = play.table()
    play.say(Reclaim(lease_id="lse_1", deadline=play.now + timedelta(hours=1)))
    require(play.broker.reclaimed() == {"lse_1"}, "a reclaim was not told")
    require(play.table() == before, "a reclaim changed the table")


def versions_rise(sides: Sides) -> None:
    """A version says one thing and never falls; a hold is granted on the present version only."""
    play = script(sides).opened(an_offer(version=3))
    require(codes(play.say(an_offer(version=2))) == ["version_behind"], "an older version was taken")
    require(codes(play.say(an_offer(version=3, quantity=9))) == ["version_reused"], "one version said two things")
    play.say(Price(offer_id="ofr_1", version=4, rate_micros=1))
    require(not play.may_book("ofr_1", version=3), "a version that is over was booked")
    require(play.may_book("ofr_1", version=4), "the present version was not to be had")


def others_speak_apart(sides: Sides) -> None:
    """What a third party says is kept apart from what the provider says, and counts only by that party's own signature."""
    play = script(sides).opened()
    blank = Attestation(issuer="auditor", claim="iso27001", value="2027", signature="0" * 128)
    data = attested_bytes(PROVIDER, "ofr_1", attestation=blank)
    for version, (key, verified) in enumerate(((ISSUER_KEY, True), (OTHER_KEY, False)), start=1):
        claim = msgspec.structs.replace(blank, signature=key.sign(data).hex())
        play.say(an_offer(version=version, attributes={"iso27001": "2030"}, attestations=[claim]))
        row = play.row("ofr_1")
        require(row.attributes == {"iso27001": "2030"}, "what others say was mixed with what the provider says")
        require([(one.value, one.verified) for one in row.attested] == [("2027", verified)], f"attested as {row.attested}")


def only_so_many_offers(sides: Sides) -> None:
    """Beyond the limit an offer is refused and the others stand."""
    offers: list[Announce] = [an_offer(f"o{n}") for n in range(50)]
    play = script(sides).opened(*offers)
    require(codes(play.say(an_offer("one-more"))) == ["too_many_offers"], "the limit of offers was passed")
    require(len(play.table()) == 50, "the limit cost offers that stood")


BROKER_CLAUSES = (
    taken_in_order,
    repeated_is_acknowledged_again,
    one_number_one_content,
    never_out_of_order,
    half_a_snapshot_is_nothing,
    a_wrong_snapshot_is_nothing,
    forged_is_refused,
    a_batch_is_its_messages,
    a_batch_is_signed_whole,
    nonsense_is_refused,
    a_flood_is_held_off,
    a_life_is_the_brokers,
    silence_makes_stale_then_withdrawn,
    a_restart_keeps_offers,
    an_old_epoch_is_over,
    flapping_is_damped,
    a_heartbeat_compares,
    keys_rotate,
    the_unknown_is_kept,
    held_back_is_not_booked,
    a_reclaim_is_told,
    versions_rise,
    others_speak_apart,
    only_so_many_offers,
)
