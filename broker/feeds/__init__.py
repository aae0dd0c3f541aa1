"""Supply from elsewhere: one file an adapter, parsing pure, fetching thin."""
