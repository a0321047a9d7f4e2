"""`python -m heliograph.lab.controlplane`: builds the control planes and prints where they are."""

from __future__ import annotations

import sys

from heliograph.lab.building import build
from heliograph.lab.controlplane.build import ensure_built

if __name__ == "__main__":
    sys.exit(build(ensure_built))
