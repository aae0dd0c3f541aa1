"""Refunds, disputes, connected accounts, transfers, payouts to the bank and top-ups from it."""

from broker.payments.fake.account import FakeAccount
from broker.payments.fake.wire import Refused, Thing, check, whole

DISPUTE_FEE = 2_000


def create_refund(account: FakeAccount, params: Thing) -> Thing:
    """A payment given back, in part or whole."""
    check(params, "payment_intent* amount metadata reason")
    intent = account.get("payment_intent", params["payment_intent"])
    charge = account.get("charge", intent["latest_charge"])
    if charge["disputed"]:
        raise Refused(f"Charge {charge['id']} has been charged back; cannot issue a refund.", "charge_disputed")
    left = charge["amount"] - charge["amount_refunded"]
    amount = whole(params, "amount") if "amount" in params else left
    if not left:
        raise Refused(f"Charge {charge['id']} has already been refunded.", "charge_already_refunded")
    if amount <= 0:
        raise Refused("Invalid positive integer", "parameter_invalid_integer")
    if amount > left:
        raise Refused(f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", "amount_too_large")
    charge["amount_refunded"] += amount
    made = account.make("re", "refund", amount=amount, currency=charge["currency"], charge=charge["id"], status="succeeded")
    made.update(payment_intent=intent["id"], metadata=params.get("metadata", {}))
    made["balance_transaction"] = account.move("refund", made, amount=-amount)["id"]
    account.emit("refund.created", made)
    account.emit("charge.refunded", charge)
    return made


def dispute(account: FakeAccount, charge_id: str) -> Thing:
    """A buyer's bank takes a payment back until it is decided."""
    charge = account.get("charge", charge_id)
    charge["disputed"] = True
    made = account.make("dp", "dispute", amount=charge["amount"], currency=charge["currency"], charge=charge_id, status="needs_response")
    made["payment_intent"] = charge["payment_intent"]
    made["balance_transactions"] = [account.move("adjustment", made, amount=-charge["amount"], fee=DISPUTE_FEE)]
    account.emit("charge.dispute.created", made)
    account.emit("charge.dispute.funds_withdrawn", made)
    return made


def decide(account: FakeAccount, dispute_id: str, *, won: bool) -> Thing:
    """The bank's decision: won, the payment and its fee come back."""
    found = account.get("dispute", dispute_id)
    if found["status"] != "needs_response":
        raise Refused("This dispute is already closed.", "dispute_closed")
    found["status"] = "won" if won else "lost"
    if won:
        found["balance_transactions"].append(account.move("adjustment", found, amount=found["amount"], fee=-DISPUTE_FEE))
        account.emit("charge.dispute.funds_reinstated", found)
    account.emit("charge.dispute.closed", found)
    return found


def create_account(account: FakeAccount, params: Thing) -> Thing:
    """A connected account; it may receive transfers once it has shown its papers."""
    check(params, "country type email controller capabilities metadata")
    asked = {name: "inactive" for name, wish in params.get("capabilities", {}).items() if wish.get("requested") == "true"}
    return account.make("acct", "account", country=params.get("country"), capabilities=asked, metadata=params.get("metadata", {}))


def create_transfer(account: FakeAccount, params: Thing) -> Thing:
    """Money for a connected account, out of what we hold."""
    check(params, "amount* currency* destination* transfer_group description metadata")
    amount = whole(params, "amount")
    if amount <= 0:
        raise Refused("Invalid positive integer", "parameter_invalid_integer")
    receiver = account.get("account", params["destination"])
    if receiver["capabilities"].get("transfers") != "active":
        raise Refused("Your destination account needs the transfers capability enabled.", "insufficient_capabilities_for_transfer")
    if account.held.get(params["currency"], 0) < amount:
        raise Refused("You have insufficient available funds in your Stripe account.", "balance_insufficient")
    made = account.make("tr", "transfer", amount=amount, currency=params["currency"], destination=receiver["id"])
    made.update(transfer_group=params.get("transfer_group"), metadata=params.get("metadata", {}), amount_reversed=0, reversed=False)
    made["reversals"] = {"object": "list", "data": [], "has_more": False, "url": f"/v1/transfers/{made['id']}/reversals"}
    made["balance_transaction"] = account.move("transfer", made, amount=-amount)["id"]
    account.emit("transfer.created", made)
    return made


def reverse_transfer(account: FakeAccount, params: Thing, *, id: str) -> Thing:
    """A transfer taken back."""
    check(params, "amount metadata")
    found = account.get("transfer", id)
    left = found["amount"] - found["amount_reversed"]
    amount = whole(params, "amount") if "amount" in params else left
    if not 0 < amount <= left:
        raise Refused(f"The reversal must be of at most {left}, was {amount}.", "amount_too_large")
    made = account.make("trr", "transfer_reversal", amount=amount, currency=found["currency"], transfer=id, metadata={})
    made["balance_transaction"] = account.move("transfer_refund", made, amount=amount)["id"]
    found["amount_reversed"] += amount
    found["reversed"] = found["amount_reversed"] == found["amount"]
    found["reversals"]["data"].append(made)
    account.emit("transfer.reversed", found)
    return made


def create_payout(account: FakeAccount, params: Thing) -> Thing:
    """What we hold, sent to our own bank."""
    check(params, "amount* currency* metadata")
    amount = whole(params, "amount")
    if amount > account.held.get(params["currency"], 0):
        raise Refused("You have insufficient funds in your Stripe account for this transfer.", "balance_insufficient")
    made = account.make("po", "payout", amount=amount, currency=params["currency"], status="paid", metadata=params.get("metadata", {}))
    made["balance_transaction"] = account.move("payout", made, amount=-amount)["id"]
    account.emit("payout.created", made)
    return made


def create_topup(account: FakeAccount, params: Thing) -> Thing:
    """Money of our own, sent from our bank; here at once."""
    check(params, "amount* currency* description metadata statement_descriptor")
    amount = whole(params, "amount")
    if amount <= 0:
        raise Refused("Invalid positive integer", "parameter_invalid_integer")
    made = account.make("tu", "topup", amount=amount, currency=params["currency"], status="succeeded", metadata=params.get("metadata", {}))
    made["balance_transaction"] = account.move("topup", made, amount=amount)["id"]
    account.emit("topup.succeeded", made)
    return made


def send_from_bank(account: FakeAccount, params: Thing, *, id: str) -> Thing:
    """The same by hand, on Stripe's own page; `id` is the currency."""
    return create_topup(account, params | {"currency": id})


def show_papers(account: FakeAccount, params: Thing, *, id: str) -> Thing:
    """A provider has shown Stripe its papers on Stripe's own pages: whatever was requested for it is allowed now."""
    check(params, "")
    found = account.get("account", id)
    found["capabilities"] = dict.fromkeys(found["capabilities"], "active")
    account.emit("account.updated", found)
    return found


def balance(account: FakeAccount) -> Thing:
    """What is held, all of it available."""
    held = [{"amount": amount, "currency": currency} for currency, amount in sorted(account.held.items())]
    return {"object": "balance", "livemode": False, "available": held, "pending": []}
