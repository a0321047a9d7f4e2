"""Which addresses and namespaces an importing cluster takes from others. Pure."""

from __future__ import annotations

import fnmatch

from heliograph.admission.policy import RangePolicy
from services.reflector.settings import ReflectorSettings


class Admission:
    """The policy of one importing cluster."""

    def __init__(self, settings: ReflectorSettings) -> None:
        self._ranges = RangePolicy(settings.admitted_ranges)
        self._denied_namespaces = settings.denied_namespaces
        self.admits = self._ranges.admits_address  # asked for each address

    def denies_namespace(self, namespace: str) -> bool:
        """Tell whether nobody may export into the namespace."""
        return any(fnmatch.fnmatchcase(namespace, glob) for glob in self._denied_namespaces)
