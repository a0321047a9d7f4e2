"""Programs inside the namespaces of another process, by nsenter(1), as if they were our children.

Pure but for a look into /proc. A program in another PID namespace is a child of nsenter, which
waits for it and then ends as it did; signals are for the program, so its process id is needed.
"""

from __future__ import annotations

from pathlib import Path


def entering(pid: int) -> tuple[str, ...]:
    """Return what to put before a command so that it runs where process `pid` lives.

    The command's own process id is `program_of` that of nsenter. It starts in the root folder.
    """
    return ("nsenter", f"--target={pid}", "--net", "--uts", "--mount", "--pid", "--")


def program_of(nsenter: int) -> int | None:
    """Return the process that nsenter started; None if there is none, not yet or no more.

    Source: proc_pid_task_tid_children(5); nsenter starts one child, and no thread.
    """
    try:
        children = Path(f"/proc/{nsenter}/task/{nsenter}/children").read_text(encoding="ascii")
    except OSError:
        return None
    return int(children.split()[0]) if children else None
