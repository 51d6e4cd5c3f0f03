"""What the docstrings under a machine's fields say."""

import ast
import inspect
from itertools import pairwise

from arch.config import AcceleratorConfig


def field_docs() -> dict[str, str]:
    """The docstrings by field.

    They are read from the source where they are shown. Pydantic would read them at every start.
    """
    (model,) = ast.parse(inspect.getsource(AcceleratorConfig)).body
    assert isinstance(model, ast.ClassDef)
    found = {}
    for field, below in pairwise(model.body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(doc))),
            ):
                found[name] = inspect.cleandoc(doc)
    return found
