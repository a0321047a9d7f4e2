"""The error tree: every error that Heliograph raises on purpose.

`RetryableError` or not is the only question a loop asks. Messages say what, where, whose, what
was done, and what to do; the facts are attributes for code and logs.
"""

from __future__ import annotations


class HeliographError(Exception):
    """Root of the tree."""


class RetryableError(HeliographError):
    """The world was not ready; the same attempt may succeed later."""


class TerminalError(HeliographError):
    """The same attempt can never succeed; something must change first."""


class InputError(HeliographError):
    """What the person gave cannot be used: one sentence on stderr, exit code 2."""
