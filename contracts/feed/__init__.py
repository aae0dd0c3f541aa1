"""How a provider tells the broker what it offers: messages, the broker's side, the provider's side, all pure.

Both sides are functions `(state, what came, now) -> (state, what to send, what it means)`. The manual's page on the feed
protocol is the specification; the conformance kit holds any implementation to it.
"""
