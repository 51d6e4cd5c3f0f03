"""What the user says of a model's input."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class InputShape:
    """The shape that the user gives to the model's input ``name``."""

    name: str
    sizes: tuple[int, ...]
