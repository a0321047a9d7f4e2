"""`python -m heliograph.lab.collector`: builds the collector and prints where it is."""

from __future__ import annotations

import sys

from heliograph.lab.building import build
from heliograph.lab.collector import COLLECTOR
from heliograph.lab.controlplane.build import ensure_built

if __name__ == "__main__":
    sys.exit(build(lambda progress: ensure_built(progress, COLLECTOR)))
