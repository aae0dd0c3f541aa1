"""The feed protocol at the edge: our two sides as others would reach them, by bytes, and the conformance kit."""
