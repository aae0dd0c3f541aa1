"""What has to be collected and paid out, decided from facts alone: no clock, no network.

    invoice   nothing ─draft→ draft ─fill→ draft ─finalise→ open ─charge→ paid
              whoever keeps the processor's account may also call an open one void or uncollectible

Amounts are whole cents, the processor's unit; the journal's are micros.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import msgspec

from contracts.journal import JournalEntry, Posting
from contracts.statements import WORDS, Invoice, InvoiceLine
from contracts.terms.errors import Conflict, NotSupported
from contracts.terms.money import MICROS_PER_CENT

InvoiceStatus = Literal["draft", "open", "paid", "uncollectible", "void"]
Step = Literal["draft", "fill", "finalise", "charge", "rest"]
MovementKind = Literal["payment", "refund", "dispute", "transfer", "bank", "fee"]
Purpose = Literal["invoice", "prepaid"]

# The processor's limits: items on an invoice, and cents of one amount (eight digits).
ITEMS_MAX = 250
CENTS_MAX = 99_999_999
# Currencies whose smallest unit is not a hundredth: our cents would be read as something else.
NOT_HUNDREDTHS = frozenset(
    "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF BHD JOD KWD OMR TND".split()  # noqa: SIM905 - a list to be read
)
COUNTERS: dict[MovementKind, str] = {
    "payment": "receivable",
    "refund": "receivable",
    "dispute": "receivable",
    "transfer": "provider_payable",
    "bank": "cash",
    "fee": "processor_fees",
}
ENTRY_KINDS: dict[MovementKind, str] = {"transfer": "payout"}
REASONS: dict[MovementKind, str] = {
    "payment": "payment received",
    "refund": "payment refunded",
    "dispute": "payment disputed, or its dispute won",
    "transfer": "payout to a provider",
    "bank": "between the processor and our bank",
    "fee": "processor's fee",
}


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One line as the processor shows it: an id that no other line of the statement has, words, cents."""

    id: str
    words: str
    cents: int


class InvoiceView(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice as the processor knows it, cents.

    statement_id    which of our statements it is for
    total           sum of its items; `due` is what is asked for after the buyer's balance, `remaining` what is still open
    credited        what credit notes have taken from it, before and after it was paid
    attempts        charges tried so far
    items           cents of its items by our item id
    """

    id: str
    statement_id: str
    status: InvoiceStatus
    total: int
    due: int
    paid: int
    remaining: int
    credited: int
    attempts: int
    items: dict[str, int]


class PaymentState(msgspec.Struct, frozen=True, kw_only=True):
    """What a processor says became of a statement, cents.

    status    where its invoice stands; unsent while there is none
    refunded  given back of what was paid
    disputed  taken back by the buyer's bank, and not decided
    lost      taken back, and decided against us
    """

    status: InvoiceStatus | Literal["unsent"]
    invoice_id: str = ""
    due: int = 0
    paid: int = 0
    refunded: int = 0
    disputed: int = 0
    lost: int = 0

    @property
    def refundable(self) -> int:
        """Cents that may still be given back: nothing of a payment that is disputed."""
        return 0 if self.disputed or self.lost else max(0, self.paid - self.refunded)


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a credit note's cents: given against an invoice, or, where `invoice_id` is empty, to the buyer's balance.

    settled  whether the invoice is paid, so that the credit goes on to the balance
    """

    invoice_id: str
    cents: int
    settled: bool = False


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """Whole cents for a provider from one payout run; the micros below a cent wait for a later one."""

    provider_id: str
    run: int
    currency: str
    cents: int

    @property
    def id(self) -> str:
        """The name under which it is paid once."""
        return f"payout:{self.provider_id}:{self.currency}:{self.run}"


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """A change of what the processor holds for us.

    cents      signed: what came in; `fee_cents` is what the processor kept of it
    party      the account or provider it is about; empty for our own bank and for fees
    subject    the processor's name of the charge, refund, dispute or transfer
    purpose    what a payment was for; a refund or dispute is of a payment of that purpose
    """

    id: str
    kind: MovementKind
    cents: int
    fee_cents: int
    currency: str
    at: datetime
    subject: str
    party: str = ""
    purpose: Purpose = "invoice"


def payable_cents(statement: Invoice, prepaid_cents: int) -> int:
    """What is left to collect of a statement after what was paid in advance."""
    assert 0 <= prepaid_cents <= max(0, statement.payable_cents), "a balance pays at most what is payable"
    return statement.payable_cents - prepaid_cents


def check_collectable(statement: Invoice) -> None:
    """Raises NotSupported for a statement the processor could not hold: its currency or an amount beyond eight digits."""
    _check_currency(statement.currency)
    for cents in (statement.payable_cents, *(item.cents for item in items_of(statement))):
        if abs(cents) > CENTS_MAX:
            raise NotSupported(
                f"the processor takes amounts of at most {CENTS_MAX} cents, {statement.id} has one of {cents}; a bank transfer would do",
                statement_id=statement.id,
                cents=cents,
            )


def items_of(statement: Invoice, prepaid_cents: int = 0) -> tuple[Item, ...]:
    """The statement's lines, its tax and what was paid in advance, as items that add up to what is left to pay; none of no cents.

    Lines beyond what an invoice can hold are added up in a last one; the statement itself has them all.
    """
    lines = [
        Item(id=f"{line.kind}:{line.month_start:%Y-%m}:{line.hardware or ''}", words=_words(line, statement), cents=line.amount_cents)
        for line in statement.lines
        if line.amount_cents
    ]
    tax = [Item(id="tax", words=f"Tax, {statement.tax_bps / 100:g} %", cents=statement.tax_cents)] if statement.tax_cents else []
    ends = [*tax, Item(id="prepaid", words="Paid from your prepaid balance", cents=-prepaid_cents)] if prepaid_cents else tax
    most = ITEMS_MAX - len(ends)
    if len(lines) > most:
        rest = lines[most - 1 :]
        lines[most - 1 :] = [Item(id="more", words=f"{len(rest)} more lines of the statement", cents=sum(item.cents for item in rest))]
    return (*lines, *ends)


def next_step(statement: Invoice, invoice: InvoiceView | None, *, prepaid_cents: int = 0) -> Step:
    """What brings a payable statement on. Raises Conflict where the processor's invoice says something else than we do."""
    if invoice is None:
        return "draft"
    wanted = {item.id: item.cents for item in items_of(statement, prepaid_cents)}
    wrong = {name for name, cents in invoice.items.items() if wanted.get(name) != cents}
    if wrong:
        raise Conflict(
            f"the processor's invoice of {statement.id} has items that the statement lacks; void it there",
            statement_id=statement.id,
            invoice_id=invoice.id,
            item=min(wrong),
        )
    if invoice.status == "draft":
        return "finalise" if invoice.items.keys() == wanted.keys() else "fill"
    due = payable_cents(statement, prepaid_cents)
    if invoice.total != due:
        raise Conflict(
            f"the processor's invoice of {statement.id} asks for {invoice.total} cents, the statement for {due}",
            statement_id=statement.id,
            invoice_id=invoice.id,
        )
    return "charge" if invoice.status == "open" else "rest"


def credits_for(cents: int, invoices: Iterable[InvoiceView]) -> list[Credit]:
    """How a credit of `cents` is given: against invoices, latest period first, and what none can take to the balance.

    An open invoice takes what remains of it, a paid one what was paid for it less what it was credited before.
    """
    found: list[Credit] = []
    for invoice in sorted(invoices, key=lambda each: (-_period(each.statement_id), each.id)):
        most = {"open": invoice.remaining, "paid": min(invoice.paid, invoice.total - invoice.credited)}.get(invoice.status, 0)
        part = min(cents, most)
        if part > 0:
            found.append(Credit(invoice_id=invoice.id, cents=part, settled=invoice.status == "paid"))
            cents -= part
    return [*found, Credit(invoice_id="", cents=cents)] if cents else found


def entry_of(movement: Movement) -> JournalEntry | None:
    """The entry of a movement, None where nothing moved. Its id is the movement's, so that it is written once.

    What the processor holds rises by the amount less the fee; against it stands who paid, was paid, or our bank.
    """
    net = movement.cents - movement.fee_cents
    amounts: dict[tuple[str, str], int] = {("processor", ""): net}
    for account, party, cents in (
        ("processor_fees", "", movement.fee_cents),
        (_counter(movement), movement.party, -movement.cents),
    ):
        amounts[account, party] = amounts.get((account, party), 0) + cents
    postings = tuple(
        Posting(account=account, party=party, amount_micros=cents * MICROS_PER_CENT, currency=movement.currency)
        for (account, party), cents in amounts.items()
        if cents
    )
    if not postings:
        return None
    return JournalEntry(
        id=f"processor:{movement.id}",
        kind=ENTRY_KINDS.get(movement.kind, movement.kind),
        state="posted",
        at=movement.at,
        reason="paid in advance" if (movement.kind, movement.purpose) == ("payment", "prepaid") else REASONS[movement.kind],
        postings=postings,
        subject=movement.subject,
    )


def _counter(movement: Movement) -> str:
    """The account against which a movement stands: what was paid in advance is the buyer's until an invoice takes it."""
    counter = COUNTERS[movement.kind]
    return "prepaid" if counter == "receivable" and movement.purpose == "prepaid" else counter


def _check_currency(currency: str) -> None:
    if currency in NOT_HUNDREDTHS:
        raise NotSupported(f"the processor does not count {currency} in hundredths; a bank transfer would do", currency=currency)


def _period(statement_id: str) -> int:
    return int(statement_id.rpartition(":")[2])


def _words(line: InvoiceLine, statement: Invoice) -> str:
    said = WORDS.get(line.kind) or f"Usage, {line.hardware}"
    month = f"{line.month_start:%Y-%m}"
    return f"{said}, {month}" if line.month_start >= statement.month_start else f"{said}, correction of {month}"
