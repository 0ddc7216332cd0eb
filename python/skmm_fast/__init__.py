"""Choose finetuning data by Sketchy Moment Matching (SkMM, arXiv 2407.06120)."""

import sys

from . import _core
from ._development import get_cmake_dir, get_include
from ._diagnose import Diagnosis, diagnose
from ._plan import Plan, plan
from ._select import select
from ._selection import Selection
from ._version import __version__
from .methods.forgetting import ForgettingRecord
from .methods.mean_matching import match_mean
from .methods.moment_matching import MomentMatch, match_moments
from .methods.registry import METHODS
from .methods.sampling import draw
from .methods.spherical_cells import cells
from .methods.v_optimality import VOptimal, v_optimal
from .pool.spectrum import Moments, moments
from .sketch.base import Sketch
from .sketch.checkpoints import combine
from .sketch.factored_layer import Factored
from .sketch.operators import Gaussian, GroupedSign, SparseSign
from .sketch.store import SketchStore

# A worker forked by multiprocessing (a DataLoader's, say) inherits OpenMP without its threads.
_multiprocessing = sys.modules.get("multiprocessing")
if (
    _multiprocessing is not None
    and _multiprocessing.parent_process() is not None
    and _multiprocessing.get_start_method() == "fork"
):
    _core.run_serially()

__all__ = [
    "METHODS",
    "Diagnosis",
    "Factored",
    "ForgettingRecord",
    "Gaussian",
    "GroupedSign",
    "MomentMatch",
    "Moments",
    "Plan",
    "Selection",
    "Sketch",
    "SketchStore",
    "SparseSign",
    "VOptimal",
    "__version__",
    "cells",
    "combine",
    "diagnose",
    "draw",
    "get_cmake_dir",
    "get_include",
    "match_mean",
    "match_moments",
    "moments",
    "plan",
    "select",
    "v_optimal",
]
