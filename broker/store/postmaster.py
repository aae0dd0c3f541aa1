"""What runs between `fork` and `postgres`: become the server's account, ask to be stopped with the parent, exec.

Run by path, as a program, never imported: `python -I -S postmaster.py PARENT UID GID POSTGRES [ARGUMENT ...]`.
A program of its own, because between fork and exec of a process with threads no Python may run, and because the
order matters: Linux forgets the parent-death signal when a process changes its account.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
GONE = 3


def main(command: list[str], *, parent: int, uid: int, gid: int) -> None:
    """Replace this process by `command`, to be interrupted (a fast, clean stop) when its parent's thread ends.

    parent     process id that must still be our parent, or nobody would ever stop the server
    uid, gid   account to run as, where that is another one than ours
    """
    if os.geteuid() != uid:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(GONE)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[4:], parent=int(sys.argv[1]), uid=int(sys.argv[2]), gid=int(sys.argv[3]))
