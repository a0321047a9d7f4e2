"""How a program ends: exit code, one sentence for a person, a traceback for whoever mends it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys

import pytest

from heliograph.errors import HeliographError, InputError, RetryableError
from heliograph.program import explain, run

BAD_INPUT = InputError("there is no such file; give another one")
FAULT = RetryableError("the API server does not answer")
BUG = ZeroDivisionError("division by zero")

ENDS: dict[str, tuple[BaseException | int | None, int, str]] = {
    # case                          what it ends with                     code  standard error
    "done":                         (None,                                0, ""),
    "a code of its own":            (3,                                   3, ""),
    "bad input":                    (BAD_INPUT,                           2, str(BAD_INPUT)),
    "a fault of the world":         (FAULT,                               1, str(FAULT)),
    "interrupted":                  (KeyboardInterrupt(),               130, ""),
    "in a group":                   (ExceptionGroup("", [FAULT]),         1, str(FAULT)),
    "bad input goes first":         (ExceptionGroup("", [BUG, FAULT, BAD_INPUT]),
                                                                          2, str(BAD_INPUT)),
    "groups in groups":             (ExceptionGroup("", [ExceptionGroup("", [BAD_INPUT])]),
                                                                          2, str(BAD_INPUT)),
    "an error of ours before bugs": (ExceptionGroup("", [BUG, FAULT]),    1, str(FAULT)),
    "interrupted, in a group":      (BaseExceptionGroup("", [KeyboardInterrupt()]), 130, ""),
}  # fmt: skip
SHORT = """
import asyncio, signal, sys
from heliograph import logs
from heliograph.program import run
logs.configure(human=True)
async def main():
    print("ready", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        {at_the_end}
sys.exit(run(main()))
"""
STOPPED = {
    # case                                  at the end                     signals            code
    "TERM":                                 ("print('drained')",           [signal.SIGTERM],  0),
    "INT":                                  ("print('drained')",           [signal.SIGINT],   0),
    "a second signal does not wait":        ("print('slow', flush=True); await asyncio.sleep(60)",
                                             [signal.SIGTERM, signal.SIGTERM],                1),
    "an error while draining":              ("raise RuntimeError('bug')",  [signal.SIGTERM],  1),
}  # fmt: skip


async def ending(how: BaseException | int | None) -> int | None:
    if isinstance(how, BaseException):
        raise how
    return how


@pytest.mark.parametrize(("how", "code", "said"), ENDS.values(), ids=ENDS)
def test_exit_codes(
    how: BaseException | int | None, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 done, 1 a fault, 2 bad input; people see one sentence, and no traceback."""
    assert run(ending(how)) == code
    assert capsys.readouterr().err == (f"heliograph: {said}\n" if said else "")


@pytest.mark.parametrize(
    "how",
    [BUG, ExceptionGroup("", [BUG]), asyncio.CancelledError()],
    ids=["alone", "group", "self"],
)
def test_a_bug_keeps_its_traceback(how: BaseException) -> None:
    """What Heliograph did not foresee passes, unwrapped."""
    with pytest.raises((ZeroDivisionError, asyncio.CancelledError)):
        run(ending(how))


def test_an_error_of_ours_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """Callers outside an event loop explain errors the same way."""
    assert explain(HeliographError("why")) == 1
    assert capsys.readouterr().err == "heliograph: why\n"


@pytest.mark.parametrize(("at_the_end", "signals", "code"), STOPPED.values(), ids=STOPPED)
def test_signals_stop_a_program(at_the_end: str, signals: list[signal.Signals], code: int) -> None:
    """The first signal lets it drain; another one is not waited for."""
    command = [sys.executable, "-c", SHORT.format(at_the_end=at_the_end)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        for number in signals:
            assert process.stdout.readline() in (b"ready\n", b"slow\n")
            process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == code, err
    assert (b"drained" in out) == ("drained" in at_the_end)
    assert b"stopping" in err


def test_handlers_are_taken_back() -> None:
    """After a run, signals are the process's own again."""
    before = signal.getsignal(signal.SIGTERM)
    run(ending(None))
    assert signal.getsignal(signal.SIGTERM) == before
