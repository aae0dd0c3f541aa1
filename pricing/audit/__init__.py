"""The checks behind a certificate: the book counted again from its tables, sharing nothing with the paths that clear it."""
