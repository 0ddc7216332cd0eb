"""What all adapters have in common: examples that run, and nothing imported before it is used."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from support import stand_ins

import skmm_fast.integrations

FOLDER = Path(skmm_fast.integrations.__file__).parent
PAGE = (Path(__file__).parents[3] / "docs" / "how_to" / "adapters.md").read_text()
NAMES = {  # the public names of each adapter
    "ray": ["SketchActor", "select_from"],
    "trak": ["SketchProjector"],
    "dattri": ["random_project"],
    "dataflex": ["SketchSelector"],
    "nemo_curator": ["SelectionStage"],
    "data_juicer": ["SkmmSelector"],
}
NEEDED = {"nemo_curator": "pandas", "data_juicer": "datasets"}  # by an example; others: torch
HELPERS = {"__init__", "numbered", "column_choice", "eval_mode", "of_base"}
SUBCLASSES = {
    "sklearn",
    "torch",
    "transformers",
}  # which import theirs, and have tests of their own

pytestmark = pytest.mark.filterwarnings("ignore")  # what the libraries warn of is their own


@pytest.fixture
def adapter(request, monkeypatch):
    """The adapter of this name, with a stand-in of a library whose class it takes."""
    name = request.param
    pytest.importorskip(NEEDED.get(name, "torch"))
    module = importlib.import_module(f"skmm_fast.integrations.{name}")
    if name in stand_ins.MODULES:
        stand_ins.put_in_place_of_absent(monkeypatch, name)
        stand_ins.forget(module, NAMES[name][0])
    yield module
    if name in stand_ins.MODULES:
        stand_ins.forget(module, NAMES[name][0])


@pytest.mark.parametrize("adapter", NAMES, indirect=True)
def test_docstrings_have_examples_that_run(adapter):
    for public in NAMES[adapter.__name__.rpartition(".")[2]]:
        item, said = getattr(adapter, public), []
        test = doctest.DocTestParser().get_doctest(item.__doc__, {}, public, None, None)
        assert test.examples
        doctest.DocTestRunner(verbose=False).run(test, out=said.append)
        assert not said, "".join(said)


def test_the_page_has_every_adapter():
    assert {path.stem for path in FOLDER.glob("*.py")} - HELPERS == set(NAMES) | SUBCLASSES
    assert all(f"integrations.{name} " in PAGE for name in SUBCLASSES)
    for name, public in NAMES.items():
        assert f"integrations.{name} " in PAGE
        assert all(item in PAGE for item in public)


def test_nothing_is_imported_before_it_is_used():
    code = "import sys\n" + "".join(f"import skmm_fast.integrations.{n}\n" for n in NAMES)
    code += f"assert not {set(NAMES) | {'torch', 'pandas'}} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
