"""Choose finetuning data by Sketchy Moment Matching (SkMM, arXiv 2407.06120).

    import skmm_fast as skmm

    selection = skmm.select(features, 200, y=labels)  # exactly 200 distinct rows
    print(selection)                                  # is it better than a uniform draw?
    selection.indices                                 # sorted row numbers

`help` of one of these says all about it:

    select, Selection           the one call, and its result: rows, diagnosis, files, pictures
    METHODS                     names of the methods that `select` knows
    plan                        time and memory of a call before it is made
    diagnose                    how good given rows are, whoever chose them
    skmm_fast.gradients         sketches of the per-sample gradients of a torch model
    SketchStore, combine        sketches on disk, and those of several checkpoints
    SparseSign, GroupedSign, Gaussian, Factored    families of random matrices, never stored
    v_optimal, match_moments, match_mean, cells, draw, moments    parts of methods
    ForgettingRecord            what the method "forgetting" needs of a training
    skmm_fast.integrations      scikit-learn, torch, transformers, Ray, TRAK, dattri and others
    get_include, get_cmake_dir  the core for C++ projects

The command is `skmm-fast --help`.
"""

# These are the public names. A list of them (__all__) would make `help(skmm_fast)` print the whole
# of each.
import sys as _sys

try:
    from . import _core
except ImportError as _error:
    if "libgomp" not in str(_error):
        raise
    raise ImportError(
        f"{_error}: the core needs GCC's OpenMP runtime; install the system's package of it "
        "(Debian, Ubuntu: libgomp1; Fedora, RHEL: libgomp), or import torch, which has one, first"
    ) from _error
from ._development import get_cmake_dir as get_cmake_dir
from ._development import get_include as get_include
from ._diagnose import Diagnosis as Diagnosis
from ._diagnose import diagnose as diagnose
from ._plan import Plan as Plan
from ._plan import plan as plan
from ._select import select as select
from ._selection import Selection as Selection
from ._version import __version__ as __version__
from .methods.forgetting import ForgettingRecord as ForgettingRecord
from .methods.mean_matching import match_mean as match_mean
from .methods.moment_matching import MomentMatch as MomentMatch
from .methods.moment_matching import match_moments as match_moments
from .methods.registry import METHODS as METHODS
from .methods.sampling import draw as draw
from .methods.spherical_cells import cells as cells
from .methods.v_optimality import VOptimal as VOptimal
from .methods.v_optimality import v_optimal as v_optimal
from .pool.spectrum import Moments as Moments
from .pool.spectrum import moments as moments
from .sketch.base import Sketch as Sketch
from .sketch.checkpoints import combine as combine
from .sketch.factored_layer import Factored as Factored
from .sketch.operators import Gaussian as Gaussian
from .sketch.operators import GroupedSign as GroupedSign
from .sketch.operators import SparseSign as SparseSign
from .sketch.store import SketchStore as SketchStore

# A worker forked by multiprocessing (a DataLoader's, say) inherits OpenMP without its threads.
_multiprocessing = _sys.modules.get("multiprocessing")
if (
    _multiprocessing is not None
    and _multiprocessing.parent_process() is not None
    and _multiprocessing.get_start_method() == "fork"
):
    _core.run_serially()
