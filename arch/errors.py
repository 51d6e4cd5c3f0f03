"""Errors that a user can cause: each message is one line of rule, value received and remedy."""


class TilewrightError(Exception):
    """Base of every error that the command line reports as one line, without a traceback."""


class ConfigError(TilewrightError):
    """An invalid machine description."""


class ShapeError(TilewrightError):
    """An impossible layer shape."""


class ModelError(TilewrightError):
    """A model file that cannot be read, or that uses something unsupported."""


class CompileError(TilewrightError):
    """A layer that cannot be placed on the machine."""


class InputError(TilewrightError):
    """Images or other run-time input of the wrong shape, type or form."""


class ToolError(TilewrightError):
    """A tool that is missing on this machine, or that failed."""


class RunError(TilewrightError):
    """A run that ended in an error status of the machine."""


class MappingError(TilewrightError):
    """A mapping that does not fit the architecture, or a layer that no mapping fits."""
