"""Imported first: what makes the imports that follow cheaper. Small runs are nothing but start-up."""

from __future__ import annotations

import gc
import sys
from types import ModuleType

gc.set_threshold(50_000, 20, 20)
"""Thousands of classes are made while modules are imported, and none of them is garbage."""


def _without_plugins() -> ModuleType:
    """Pydantic looks for plugins in every installed package, with modules that nothing else here needs: 50 ms."""
    loader = ModuleType("pydantic.plugin._loader")
    loader.get_plugins = lambda: ()  # type: ignore[attr-defined]
    return loader


if "pydantic" not in sys.modules:
    sys.modules["pydantic.plugin._loader"] = _without_plugins()
