"""Another program: keeps, or shares, the server of a data directory until its input ends or it is killed.

`python keeping.py DIRECTORY` writes one line: the address and the process id of the server, 0 for one it shares.
"""

import sys
from pathlib import Path

from broker.store.embedded import EmbeddedServer

if __name__ == "__main__":
    server = EmbeddedServer(Path(sys.argv[1]), patience=20)
    sys.stdout.write(f"{server.start()} {server.pid or 0}\n")
    sys.stdout.flush()
    sys.stdin.read()
