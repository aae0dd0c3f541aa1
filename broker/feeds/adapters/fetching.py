"""One way to get a public file over HTTPS: who is late is late, and the market keeps what it had."""

import urllib.request

from contracts.terms.errors import BadInput

SECONDS = 60
BYTES_MAX = 256_000_000


def fetch_bytes(address: str) -> bytes:
    """The file at an address, 256 MB at most. Raises BadInput when it cannot be had."""
    if not address.startswith("https://"):
        raise BadInput("public files are fetched over HTTPS", found=address)
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            body: bytes = answer.read(BYTES_MAX)
    except (OSError, TimeoutError) as error:
        raise BadInput("the file cannot be fetched", found=f"{address}: {error}", would_do="a file you already have") from error
    return body
