"""Where the source is: a class, the one class of a file or module, a manifest; as a function that makes it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from airbyte_cdk.sources.source import Source

from connector_sdk.errors import ConfigError

Factory = Callable[..., Any]
"""Makes the CDK's source. May take `catalog`, `config` and `state`, by name."""


def find(where: type | str | Path) -> Factory:
    """The function that makes the source which this class, file, module or manifest holds."""
    if isinstance(where, type):
        return _importable(where)
    path = Path(where)
    if path.suffix in (".py", ".yaml", ".yml") and not path.is_file():
        raise ConfigError(f"There is no file {where}.")
    if path.suffix == ".py":
        return the_source(_import_file(path.resolve()), str(where))
    if path.suffix in (".yaml", ".yml"):
        return _manifest(path)
    try:
        return the_source(importlib.import_module(str(where)), str(where))
    except ModuleNotFoundError as error:
        if error.name != str(where).split(".")[0]:
            raise
        raise ConfigError(f"There is neither a file nor a module {where}.") from None


def _importable(cls: type) -> type:
    """A class of the running script, as an import of its file gives it: the CDK looks for files beside modules."""
    script = getattr(sys.modules["__main__"], "__file__", None)
    if cls.__module__ != "__main__" or script is None:
        return cls
    found: type = getattr(_import_file(Path(script).resolve()), cls.__name__)
    return found


def _import_file(path: Path) -> ModuleType:
    """Import the file under the name that it has in its package, so that what lies beside it is found."""
    names, folder = [path.stem], path.parent
    while (folder / "__init__.py").exists():
        names.insert(0, folder.name)
        folder = folder.parent
    if names[-1] == "__init__":
        names.pop()
    sys.path.insert(0, str(folder))
    module = importlib.import_module(".".join(names))
    if Path(module.__file__ or "") != path:
        raise ConfigError(f"The name of {path.name} is taken by another module. Rename the file.")
    return module


def the_source(module: ModuleType, where: str) -> type:
    """The one source of a module: defined there (or at least imported from elsewhere) and not the base of another."""
    classes = {value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Source)}
    found = {cls for cls in classes if cls.__module__.split(".")[0] != "airbyte_cdk"}
    found = {cls for cls in found if cls.__module__ == module.__name__} or found
    last = [cls for cls in found if not any(issubclass(other, cls) and other is not cls for other in found)]
    if len(last) != 1:
        names = ", ".join(sorted(cls.__name__ for cls in last))
        problem = f"several sources: {names}. Keep one of them in it." if last else "no subclass of AbstractSource."
        raise ConfigError(f"{where} has {problem}")
    if inspect.isabstract(last[0]):
        missing = ", ".join(sorted(getattr(last[0], "__abstractmethods__", ())))
        raise ConfigError(f"The source {last[0].__name__} in {where} lacks the methods {missing}.")
    return last[0]


# Manifests


def _manifest(path: Path) -> Factory:
    if (path.parent / "components.py").exists():
        _add_components(path.parent / "components.py")
    return partial(_declared, path)


def _declared(path: Path, catalog: Any = None, config: Any = None, state: Any = None) -> Any:
    import yaml
    from airbyte_cdk.sources.declarative.yaml_declarative_source import YamlDeclarativeSource
    from jsonschema.exceptions import ValidationError

    try:
        return YamlDeclarativeSource(path_to_yaml=str(path), catalog=catalog, config=config, state=state)
    except yaml.YAMLError as error:
        raise ConfigError(f"The manifest {path} is not YAML: {error}") from None
    except ValidationError as error:
        problem = error.__cause__ if isinstance(error.__cause__, ValidationError) else error
        place = ".".join(map(str, problem.absolute_path)) or "its top level"
        raise ConfigError(f"The manifest {path} is not right at {place}: {problem.message[:1000]}") from None


def _add_components(path: Path) -> None:
    """The Python part of a manifest lies beside it; manifests know it under two names."""
    spec = importlib.util.spec_from_file_location("components", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["components"] = sys.modules["source_declarative_manifest.components"] = module
    spec.loader.exec_module(module)
