"""Payment files as a bank reads them: against the schema where it is installed, and summed up again in any case."""

import re
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.exports.pain001 import export, payments
from contracts.ledger_tables import PAYOUTS, PROVIDERS
from contracts.statements import Seller
from contracts.terms.errors import BadInput
from tests.contracts.golden import GOLDEN
from tests.contracts.published import addressed, golden, random_close

NAMES = {"": "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"}
CLOSES = [random_close(seed) for seed in range(4)]


def earning(nets, *, provider="north", currency="EUR"):
    """The golden month of corrections, with these micros earned in its two periods (and in more, without a close)."""
    rows = [(provider, period, currency, net, 0, net) for period, net in enumerate(nets, 1)]
    return msgspec.structs.replace(golden("corrections"), payouts=pl.DataFrame(rows, schema=PAYOUTS.schema, orient="row"))


def paid(book):
    return {(payment.period, payment.cents) for payment in payments(book)}


def transfers(content):
    """(EndToEndId, amount, currency, account, remittance) of each transfer of a file."""
    found = []
    for transfer in ET.fromstring(content).iterfind(".//CdtTrfTxInf", NAMES):
        amount = transfer.find("Amt/InstdAmt", NAMES)
        account = transfer.find("CdtrAcct/Id", NAMES)[0]
        found.append(
            (
                transfer.findtext("PmtId/EndToEndId", None, NAMES),
                Decimal(amount.text),
                amount.get("Ccy"),
                "".join(account.itertext()).strip(),
                transfer.findtext("RmtInf/Ustrd", None, NAMES),
            )
        )
    return found


def test_a_month_worked_out_by_hand():
    """north earns 0.65 in January, and 1.05 less 0.24 in February."""
    files = export(addressed(golden("corrections")))
    assert [transfers(content)[0][1:] for content in files.values()] == [
        (Decimal("0.65"), "EUR", "DE89370400440532013000", "north:1"),
        (Decimal("0.81"), "EUR", "DE89370400440532013000", "north:2"),
    ]
    assert files["pain001-000002-EUR.xml"] == (GOLDEN / "corrections" / "exports" / "pain001-000002-EUR.xml").read_bytes()


def test_what_was_paid_too_much_is_kept_from_what_comes_next():
    """100.5 cents make 101; then 200 go back: nothing is paid until 101 are earned again, and of 500.5 only 400 are new."""
    assert paid(earning([1_005_000, -2_000_000, 1_995_000, 4_005_000])) == {(1, 101), (4, 400)}


def test_half_cents_are_paid_once():
    """Three half cents: one, one, two cents in all; the second period pays none."""
    assert paid(earning([5_000, 5_000, 5_000])) == {(1, 1), (3, 1)}


def test_a_debt_is_not_collected():
    assert export(earning([-7_000_000, 1_000_000])) == {}


@given(st.lists(st.integers(-50_000, 50_000), min_size=1, max_size=8))
def test_all_paid_so_far_is_the_most_ever_due(nets):
    """Σ of the cents paid up to k = the greatest of 0 and Σ net up to each period, to the cent, half up."""
    found = paid(earning(nets))
    for period in range(1, len(nets) + 1):
        due = [sum(nets[:k]) for k in range(1, period + 1)]
        most = max(0, *((2 * micros + 10_000) // 20_000 for micros in due))
        assert sum(cents for k, cents in found if k <= period) == most
    assert all(cents > 0 for _, cents in found)


@pytest.mark.parametrize("book", CLOSES)
def test_control_sums_are_those_of_the_transfers(book):
    for name, content in export(book).items():
        document = ET.fromstring(content)
        found = transfers(content)
        for block in ("GrpHdr", "PmtInf"):
            assert document.findtext(f".//{block}/NbOfTxs", None, NAMES) == str(len(found))
            assert Decimal(document.findtext(f".//{block}/CtrlSum", None, NAMES)) == sum(amount for _, amount, *_ in found)
        assert {currency for _, _, currency, *_ in found} == {name.removesuffix(".xml")[-3:]}


@pytest.mark.parametrize("book", CLOSES)
def test_nobody_is_owed_more_than_half_a_cent(book):
    """What all files pay is what was earned, but for those who once were paid more."""
    found: dict[tuple[str, str], Decimal] = {}
    for content in export(book).values():
        for _, amount, currency, _, said in transfers(content):
            key = (said.rpartition(":")[0], currency)
            found[key] = found.get(key, Decimal(0)) + amount
    earned = book.payouts.group_by("provider_id", "currency").agg(pl.col("net_micros").sum())
    for provider, currency, micros in earned.iter_rows():
        assert found.get((provider, currency), 0) >= Decimal(micros).scaleb(-6) - Decimal("0.005")


@pytest.mark.parametrize("book", CLOSES)
def test_ids_are_short_and_never_shared(book):
    files = export(book)
    ids = [found[0] for content in files.values() for found in transfers(content)]
    ids += [ET.fromstring(content).findtext(".//MsgId", None, NAMES) for content in files.values()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9-]{1,35}", found) for found in ids)


def test_a_later_close_leaves_the_files_of_earlier_periods_as_they_were():
    whole = CLOSES[0]
    earlier = msgspec.structs.replace(whole, payouts=whole.payouts.filter(pl.col("period") <= 2))
    files = export(earlier)
    assert files
    assert {name: content for name, content in export(whole).items() if int(name[8:14]) <= 2} == files


def test_a_message_is_made_at_the_close():
    files = export(golden("corrections"))
    made = [ET.fromstring(content).findtext(".//CreDtTm", None, NAMES) for content in files.values()]
    assert made == ["2026-02-03T00:00:00Z", "2026-03-03T00:00:00Z"]


def test_without_an_iban_the_account_is_the_providers_id():
    first = ET.fromstring(export(golden("corrections"))["pain001-000001-EUR.xml"])
    assert first.findtext(".//CdtrAcct/Id/Othr/Id", None, NAMES) == "north"
    assert first.findtext(".//DbtrAcct/Id/Othr/Id", None, NAMES) == "NOTPROVIDED"
    assert first.find(".//CdtrAgt", NAMES) is None


@pytest.mark.parametrize(("iban", "bic", "column"), [("DE89370400440532013001", None, "iban"), ("no", None, "iban"), (None, "DEUT", "bic")])
def test_an_account_that_cannot_be_one_is_refused(iban, bic, column):
    """The first IBAN is the right one with its last digit changed."""
    listed = pl.DataFrame([("north", "North", "DE", iban, bic)], schema=PROVIDERS.schema, orient="row")
    with pytest.raises(BadInput, match=f"file providers, row north, column {column}"):
        export(msgspec.structs.replace(golden("corrections"), providers=listed))
    seller = Seller(iban=iban or "", bic=bic or "")
    with pytest.raises(BadInput, match=f"file seller.toml, column {column}"):
        export(msgspec.structs.replace(golden("corrections"), seller=seller))


def test_a_currency_a_bank_does_not_know_is_refused():
    with pytest.raises(BadInput, match="credits"):
        export(earning([1_000_000], currency="credits"))


@pytest.mark.parametrize(
    "book",
    [*CLOSES, addressed(CLOSES[0]), addressed(golden("plans")), earning([10**18], provider=f"ünder\x01 & <{'long' * 50}>")],
    ids=range(7),
)
def test_the_schema_accepts_every_file(book):
    reason = "the payment schema comes with sepaxml, which is not installed"
    sepaxml = pytest.importorskip("sepaxml", reason=reason)
    xmlschema = pytest.importorskip("xmlschema", reason=reason)
    schema = xmlschema.XMLSchema(Path(sepaxml.__file__).parent / "schemas" / "pain.001.001.09.xsd")
    files = export(book)
    assert files
    for content in files.values():
        schema.validate(content.decode())


def test_twice_the_same_bytes():
    assert export(CLOSES[1]) == export(CLOSES[1])


def test_what_a_resale_has_fetched_is_no_transfer():
    """Its holder has it as prepaid balance; the same from a provider is paid."""
    assert paid(earning([50_000_000], provider="resale:lab")) == set()
    assert paid(earning([50_000_000], provider="lab")) == {(1, 5000)}
