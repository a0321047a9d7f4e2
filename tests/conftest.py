"""What all tests share: how hypothesis searches."""

from __future__ import annotations

import os

from hypothesis import settings

# Where a change is judged, the same examples are tried each time; at home, new ones are searched.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("home", deadline=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "home")
