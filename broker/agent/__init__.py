"""A provider's agent: it announces a cluster, fulfils the leases sold on it, meters them, and lets their holders in.

What to do is decided by plain functions (`announcing`, `deciding`, `metering`); `agent` does it, on a cluster behind the port of
`cluster`; `door` is what holders knock at.
"""
