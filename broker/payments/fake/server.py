"""The fake behind Stripe's SDK: routes, idempotency keys, signed events, and failures on demand."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import stripe

from broker.clock import Clock
from broker.payments.fake import checkout, invoices, money
from broker.payments.fake.account import FakeAccount
from broker.payments.fake.wire import Refused, Thing, check, form, page, shown, whole

Fault = Literal["lost", "answer_lost", "busy", "in_use", "broken", "broken_after"]
Answer = tuple[str, int, Mapping[str, str]]
KEPT_SECONDS = 24 * 3600
KEY_LETTERS_MAX = 255
CREATES = {
    "/v1/customers": invoices.create_customer,
    "/v1/invoices": invoices.create_invoice,
    "/v1/invoiceitems": invoices.create_item,
    "/v1/credit_notes": invoices.create_credit_note,
    "/v1/refunds": money.create_refund,
    "/v1/accounts": money.create_account,
    "/v1/transfers": money.create_transfer,
    "/v1/payouts": money.create_payout,
    "/v1/topups": money.create_topup,
    "/v1/checkout/sessions": checkout.create_session,
}
ACTS = {
    r"/v1/invoices/([^/]+)/finalize": invoices.finalise,
    r"/v1/invoices/([^/]+)/pay": invoices.pay,
    r"/v1/invoices/([^/]+)/void": invoices.void,
    r"/v1/invoices/([^/]+)/mark_uncollectible": invoices.give_up,
    r"/v1/customers/([^/]+)/balance_transactions": invoices.create_balance_transaction,
    r"/v1/transfers/([^/]+)/reversals": money.reverse_transfer,
}
# What people do on Stripe's own pages; no part of its API.
PAGES = {
    r"/pages/accounts/([^/]+)/papers": money.show_papers,
    r"/pages/bank/([a-z]{3})/topup": money.send_from_bank,
    r"/pages/checkout/([^/]+)/pay": checkout.complete,
}
# What can be listed, by which fields: path → kind of object, filters.
LISTS = {
    "/v1/customers": ("customer", ""),
    "/v1/invoices": ("invoice", "customer status"),
    "/v1/invoiceitems": ("invoiceitem", "invoice customer"),
    "/v1/credit_notes": ("credit_note", "invoice customer"),
    "/v1/invoice_payments": ("invoice_payment", "invoice status"),
    "/v1/refunds": ("refund", "payment_intent charge"),
    "/v1/disputes": ("dispute", "payment_intent charge"),
    "/v1/accounts": ("account", ""),
    "/v1/transfers": ("transfer", "transfer_group destination"),
    "/v1/balance_transactions": ("balance_transaction", "source type"),
    "/v1/checkout/sessions": ("checkout.session", "customer"),
}
RETRIEVES = {
    "invoices": "invoice",
    "customers": "customer",
    "charges": "charge",
    "refunds": "refund",
    "disputes": "dispute",
    "transfers": "transfer",
    "payouts": "payout",
    "accounts": "account",
    "topups": "topup",
}


class FakeStripe(stripe.HTTPClient):
    """Give this to `stripe.StripeClient` as its HTTP client.

    faults   what becomes of the next requests, one each, None for none; when they are over, nothing fails.
             lost and answer_lost are time-outs before and after the effect, broken and broken_after answers of status 500
    account  what is there, to look at in a test
    log      a file that keeps every request that wrote something, so that a fake started on it later is the same account again
    """

    name = "fake"

    def __init__(
        self, clock: Clock, *, secret: str = "whsec_fake", faults: Iterator[Fault | None] | None = None, log: Path | None = None
    ) -> None:
        super().__init__()
        self.account = FakeAccount(clock.now)
        self.secret = secret
        self._log = log
        self.faults: Iterator[Fault | None] = faults or iter(())
        self._kept: dict[str, tuple[int, tuple[str, str], int, str]] = {}
        self._sent = 0
        if log is not None and log.is_file():
            self._recall(log.read_bytes())

    def visit(self, page: str, filled_in: str = "") -> None:
        """What a person does on one of Stripe's own pages, e.g. `/pages/accounts/{id}/papers`, with a form's content where it has one."""
        answer, status, _ = self._answer(
            ("post", f"https://stripe.com{page}", filled_in), {"Authorization": "Bearer sk_person"}, fault=None
        )
        assert status == 200, answer

    def deliveries(self) -> list[tuple[bytes, str]]:
        """Events not handed out before, each with its signature; the network may shuffle and repeat them."""
        fresh = self.account.events[self._sent :]
        self._sent = len(self.account.events)
        return [self.signed(event) for event in fresh]

    def signed(self, event: Thing) -> tuple[bytes, str]:
        """An event as it is sent: its body and the header that signs it."""
        payload = json.dumps(event)
        header: str = stripe.WebhookSignature.generate_signature_header(payload, self.secret, self.account.moment())
        return payload.encode(), header

    def request(self, method: str, url: str, *rest: Any, **_: Any) -> Answer:
        """One request of the SDK, headers and body after the URL. Raises APIConnectionError where the network is told to fail."""
        headers, data = (*rest, None, None)[:2]
        fault = next(self.faults, None)
        if fault == "lost":
            raise _timeout("the request timed out")
        if fault == "busy":
            return _error(Refused("Too many requests.", "rate_limit", status=429))
        if fault == "in_use":
            return _error(
                Refused("Another request with this key is in progress.", "idempotency_key_in_use", status=409, type="idempotency_error")
            )
        answer = self._answer((method, url, data or ""), headers or {}, fault=fault)
        if fault == "answer_lost":
            raise _timeout("the answer timed out")
        return answer

    def close(self) -> None:
        """Nothing is open."""

    def _answer(self, asked: tuple[str, str, str], headers: Mapping[str, str], *, fault: Fault | None, again: bool = False) -> Answer:
        method, url, data = asked
        if not re.fullmatch(r"Bearer sk_\w+", headers.get("Authorization", "")):
            return _error(Refused("Invalid API Key provided", "api_key_invalid", status=401))
        key = headers.get("Idempotency-Key", "") if method == "post" else ""
        if len(key) > KEY_LETTERS_MAX:
            return _error(Refused("Idempotency keys have at most 255 characters.", type="idempotency_error"))
        kept = self._kept.get(key)
        if kept and self.account.moment() - kept[0] < KEPT_SECONDS:
            if kept[1] != (url, data):
                message = "Keys for idempotent requests can only be used with the same parameters they were first used with."
                return _error(Refused(message, type="idempotency_error"))
            return kept[3], kept[2], {"Request-Id": "req_fake", "Idempotent-Replayed": "true"}
        text, status = self._execute(asked, fault)
        if self._log is not None and method == "post" and not again:
            with self._log.open("ab") as log:
                log.write(json.dumps([self.account.now().isoformat(), method, url, data, key, fault]).encode() + b"\n")
        if key and not _is_invalid(text):
            self._kept[key] = (self.account.moment(), (url, data), status, text)
        return text, status, {"Request-Id": "req_fake"}

    def _recall(self, log: bytes) -> None:
        """Do again what the log says, each at its time; a last line that was cut off never happened."""
        now, whole_lines = self.account.now, log[: log.rfind(b"\n") + 1]
        for line in whole_lines.splitlines():
            at, method, url, data, key, fault = json.loads(line)
            self.account.now = partial(datetime.fromisoformat, at)
            self._answer((method, url, data), {"Authorization": "Bearer sk_log", "Idempotency-Key": key}, fault=fault, again=True)
        self.account.now, self._sent = now, len(self.account.events)

    def _execute(self, asked: tuple[str, str, str], fault: Fault | None) -> tuple[str, int]:
        method, url, data = asked
        failed = json.dumps(Refused("An unknown error occurred", status=500, type="api_error").body)
        if fault == "broken":
            return failed, 500
        try:
            found = self._route(method, urlsplit(url), params=form(urlsplit(url).query if method == "get" else data))
        except Refused as refused:
            return json.dumps(refused.body), refused.status
        return (failed, 500) if fault == "broken_after" else (json.dumps(shown(found)), 200)

    def _route(self, method: str, url: Any, *, params: Thing) -> Thing:
        path, account = url.path, self.account
        expand = list(params.get("expand", {}).values())
        if method == "post":
            if path in CREATES:
                return account.expanded(CREATES[path](account, params), expand)
            for pattern, act in (ACTS | PAGES).items():
                if matched := re.fullmatch(pattern, path):
                    return account.expanded(act(account, params, id=matched[1]), expand)
        if method == "get":
            return account.expanded(self._read(path, params), expand)
        raise Refused(f"Unrecognized request URL ({method.upper()}: {path}).", status=404)

    def _read(self, path: str, params: Thing) -> Thing:
        account = self.account
        if path == "/v1/customers/search":
            return {"object": "search_result", "url": path, "has_more": False, "data": invoices.search_customers(account, params)}
        if path == "/v1/balance":
            return money.balance(account)
        if path in LISTS:
            kind, filters = LISTS[path]
            check(params, f"{filters} created limit starting_after ending_before")
            found = account.all(kind, **{name: params[name] for name in filters.split() if name in params})
            since = whole(params["created"], "gte") if "created" in params else 0
            return page((each for each in found if each["created"] >= since), params, url=path)
        if matched := re.fullmatch(r"/v1/customers/([^/]+)/balance_transactions", path):
            account.get("customer", matched[1])
            check(params, "limit starting_after ending_before")
            return page(account.all("customer_balance_transaction", customer=matched[1]), params, url=path)
        if (matched := re.fullmatch(r"/v1/([a-z_]+)/([^/]+)", path)) and matched[1] in RETRIEVES:
            check(params, "")
            return account.get(RETRIEVES[matched[1]], matched[2])
        raise Refused(f"Unrecognized request URL (GET: {path}).", status=404)


def _is_invalid(text: str) -> bool:
    """Whether the request never began: its parameters were not understood, and nothing is kept under its key."""
    code = json.loads(text).get("error", {}).get("code") or ""
    return str(code).startswith("parameter_")


def _error(refused: Refused) -> Answer:
    return json.dumps(refused.body), refused.status, {"Request-Id": "req_fake"}


def _timeout(message: str) -> stripe.APIConnectionError:
    return stripe.APIConnectionError(message, should_retry=True)  # type: ignore[no-untyped-call]
