"""Every public name has a docstring in one layout, with an example that runs."""

import doctest
import inspect
import re

import pytest
from support.public import NAMES

SECTIONS = ("Parameters", "Attributes", "Returns", "Raises", "Notes", "Examples")


def public():
    """(name, object) of all public functions and classes, and of the methods of these."""
    for name, item in NAMES.items():
        if not callable(item):
            continue
        yield name, item
        for part, member in vars(item).items() if inspect.isclass(item) else ():
            method = getattr(member, "__func__", member)
            if inspect.isfunction(method) and (not part.startswith("_") or part == "__call__"):
                yield f"{name}.{part}", method


PUBLIC = dict(public())
INTERNAL = {  # public by name, for other modules alone
    "Diagnosis.from_plain",
    "Diagnosis.plain",
    "GradientSketcher.forget",
    "GradientSketcher.fingerprint",
}


@pytest.mark.parametrize("name", [name for name in PUBLIC if name not in INTERNAL])
def test_layout_and_example(name):
    item = PUBLIC[name]
    doc = inspect.getdoc(item)
    assert doc, "no docstring"
    assert not doc.startswith(f"{name}("), "a generated docstring"
    assert re.match(r".+[.:]$", doc.splitlines()[0]), "the first line is a sentence"
    found = re.findall(r"(?m)^(\w+)\n-+$", doc)
    assert found == [s for s in SECTIONS if s in found], "sections in order"
    assert "Examples" in found
    if inspect.isfunction(item) and len(inspect.signature(item).parameters) > 1:
        assert "Parameters" in found
    examples = doctest.DocTestFinder(recurse=False).find(item, name, globs={})
    assert sum(len(e.examples) for e in examples) > 0
    if "torch" in doc.split("Examples\n")[-1]:
        pytest.importorskip("torch")
    said = []
    for example in examples:
        doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_parameter_is_described(name):
    item = PUBLIC[name]
    if name in INTERNAL or not inspect.isfunction(item):
        return
    doc = inspect.getdoc(item)
    for parameter in inspect.signature(item).parameters:
        if parameter not in ("self", "cls"):
            assert re.search(rf"(?m)^[\w, *]*\b{parameter}\b", doc), parameter
