"""A Stripe to develop against: it answers Stripe's SDK in memory, refuses what Stripe refuses, and can be told to fail.

It speaks the part of the API that the market uses, in the shapes of the SDK's own types, and nothing else: an unknown
call or parameter is an error, as it is there.
"""
