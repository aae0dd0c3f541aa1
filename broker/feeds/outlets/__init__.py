"""What users of other tools take from the market, in those tools' own forms: catalogues, and leases to land on."""
