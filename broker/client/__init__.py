"""A broker from a buyer's side, typed by the API's own structs.

from broker.client import Gridfare, calls

with Gridfare("http://127.0.0.1:8000", key="gf_…") as market:
    print(market.send(calls.get_market_now()).next_gate_at)
"""

from broker.client import calls
from broker.client.call import Call
from broker.client.clients import AsyncGridfare, Gridfare
from broker.client.refusals import Refused, Unintelligible, Unreachable

__all__ = ["AsyncGridfare", "Call", "Gridfare", "Refused", "Unintelligible", "Unreachable", "calls"]
