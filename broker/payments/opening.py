"""A processor to start with: Stripe by its key, or the fake."""

import stripe

from broker.clock import Clock
from broker.payments.fake.server import FakeStripe
from broker.payments.sending import Sender
from broker.payments.stripe_processor import StripeProcessor


def open_stripe(api_key: str, *, secret: str, clock: Clock) -> StripeProcessor:
    """Stripe itself; the SDK's own retries stay off, ours know what is safe to repeat."""
    return StripeProcessor(stripe.StripeClient(api_key, max_network_retries=0), Sender(), secret=secret, clock=clock)


def open_fake(fake: FakeStripe, clock: Clock) -> StripeProcessor:
    """The same code on the fake, which is not waited for."""
    client = stripe.StripeClient("sk_test_fake", http_client=fake, max_network_retries=0)
    return StripeProcessor(client, Sender(lambda _tried: None), secret=fake.secret, clock=clock)
