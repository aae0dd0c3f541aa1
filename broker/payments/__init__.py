"""Money comes in and goes out through a payment processor. It collects and pays out; it never rates.

`decisions` says what has to be done, `port` what a processor can do, `collector` does it; `stripe_processor` speaks
Stripe's API through Stripe's own SDK, and `fake` answers it where there is no key.
"""
