"""How far long work is, told by whoever does it, and shown to whoever waits.

`Step` and `Progress` are what workers know. `shown` is what people see: a bar on a terminal, lines
elsewhere.
"""

from __future__ import annotations

from heliograph.progress.step import Progress, Step

__all__ = ["Progress", "Step"]
