"""The portal's pages: each parses the address, asks one service, and chooses words."""
