"""Imports every module that a command may need, in the process that commands are forked from."""

from __future__ import annotations

import importlib
import pkgutil

import flows

for _module in pkgutil.walk_packages(flows.__path__, "flows."):
    if not _module.name.startswith("flows.prefect") and not _module.name.endswith("__main__"):
        importlib.import_module(_module.name)
