"""One file a command of `gridfare`; `broker/cli.py` lists them."""
