"""Terms in, terms out. Repositories flush, never commit; every list has a stated order."""
