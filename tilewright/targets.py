"""What a network can run on."""

from enum import StrEnum


class Target(StrEnum):
    """What a model can run on."""

    GOLDEN = "golden"
    COMMAND = "command"
    RTL = "rtl"
