"""Frozen descriptions that are read from TOML: every mistake becomes one line."""

import difflib
import tomllib
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from arch.errors import ConfigError


class TomlModel(BaseModel):
    """A description of ``KIND``; unknown keys are refused, and nothing changes later."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    KIND: ClassVar[str] = "a description"
    """What messages call it."""

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> Self:
        """Validate ``values``; raises ``ConfigError`` naming key, rule and value."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(f"{cls.KIND}: {_explain(error, cls)}") from None

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Parse a TOML text; raises ``ConfigError``."""
        try:
            return cls.from_mapping(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{cls.KIND} must be valid TOML: {error}") from None
        except RecursionError:
            raise ConfigError(f"{cls.KIND} must be valid TOML, got deep nesting") from None

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read a TOML file; raises ``ConfigError``."""
        try:
            return cls.from_toml(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"{cls.KIND} must be a readable TOML file: {path}: {error.strerror}"
            ) from None
        except UnicodeDecodeError:
            raise ConfigError(f"{cls.KIND} must be UTF-8 text: {path} is not") from None


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    """One line for the first broken rule: key, rule, value, and the nearest valid key."""
    # An unknown key before a missing one: it may be that one, misspelt.
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "value_error":
        rule = str(first["ctx"]["error"])
        return f"{key}: {rule}" if key else rule
    if first["type"] == "missing":
        return f"{key} must be given, got no value"
    if first["type"] == "extra_forbidden":
        known = _keys(model)
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(known)}"
        return f"{key} is not a key, got {first['input']!r}; {hint}"
    rule = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{key} must be {rule}, got {first['input']!r}"


def _keys(model: type[BaseModel]) -> list[str]:
    """The keys of ``model`` and of the tables in it."""
    schema = model.model_json_schema()
    tables = [schema, *schema.get("$defs", {}).values()]
    return list(dict.fromkeys(key for table in tables for key in table.get("properties", {})))
