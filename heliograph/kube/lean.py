"""The parts of kubernetes_asyncio that read credentials, without its models; its only importer.

`import kubernetes_asyncio` loads more than 700 generated modules: 35 MB and half a second, for each
program. So its packages are put in place without running their `__init__`, and the three modules
that are needed are loaded into them. The one name that they expect of the rest, `ApiClient`, is
used by functions that are never called here.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Final

_PACKAGE: Final = "kubernetes_asyncio"


def _package(name: str, folder: Path) -> types.ModuleType:
    """Put an empty package in place, whose modules are found in `folder`."""
    package = types.ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package
    return package


def _without_models() -> None:
    """Put the packages in place, if nobody has imported the whole library already."""
    found = importlib.util.find_spec(_PACKAGE)
    if _PACKAGE in sys.modules or found is None or not found.submodule_search_locations:
        return
    root = Path(found.submodule_search_locations[0])
    _package(_PACKAGE, root)
    client = _package(f"{_PACKAGE}.client", root / "client")
    module = importlib.import_module(f"{_PACKAGE}.client.configuration")
    client.__dict__["Configuration"] = module.Configuration
    client.__dict__["ApiClient"] = object


if not TYPE_CHECKING:
    _without_models()

from kubernetes_asyncio import config  # noqa: E402 - see above
from kubernetes_asyncio.client.configuration import Configuration  # noqa: E402 - see above
from kubernetes_asyncio.client.rest import RESTClientObject  # noqa: E402 - see above

__all__ = ["Configuration", "RESTClientObject", "config"]
