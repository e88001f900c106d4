"""Models of one's own, as the text of their files."""

from __future__ import annotations

from textwrap import indent


def model(name: str, body: str, imports: str = "") -> str:
    """Return the file of a model that has this class, with its fields and methods."""
    return f'''"""{name}, a model of a test."""

from dataclasses import dataclass

{imports}


@dataclass(frozen=True, kw_only=True)
class {name}:
    """Do as the test says."""
{body}

MODEL = {name}
'''


def level(more: str = "") -> str:
    """Return a model that gives every item the same score, with a field more."""
    body = f"""
    value: float = 1.0
    {more}

    def epochs(self, train, run):
        yield self

    def score(self, queries):
        shape = (len(queries), queries.history.n_items)
        if queries.candidates is not None:
            shape = queries.candidates.shape
        return torch.full(shape, self.value)
"""
    return model("Level", body, "import torch")


def breaking(otherwise: str) -> str:
    """Return a model that fails: politely, or else as these lines say."""
    body = f"""
    how: str = "politely"

    def epochs(self, train, run):
        if self.how == "politely":
            raise ReproError("the wheels came off", "put them on again")
{indent(otherwise, 8 * " ")}
"""
    return model("Breaking", body, "from repro.errors import ReproError")
