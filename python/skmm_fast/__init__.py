"""Choose finetuning data by Sketchy Moment Matching (SkMM, arXiv 2407.06120)."""

import sys

from . import _core
from .design import VOptimal, v_optimal
from .diagnose import Diagnosis, diagnose
from .draw import draw
from .moments import MomentMatch, match_moments
from .plan import Plan, plan
from .pool import Moments, moments
from .scores import ForgettingRecord
from .select import select
from .selection import Selection
from .sketch import Gaussian, GroupedSign, Sketch, SparseSign
from .store import SketchStore

# A worker forked by multiprocessing (a DataLoader's, say) inherits OpenMP without its threads.
_multiprocessing = sys.modules.get("multiprocessing")
if (
    _multiprocessing is not None
    and _multiprocessing.parent_process() is not None
    and _multiprocessing.get_start_method() == "fork"
):
    _core.run_serially()

__version__ = "0.1.0"

__all__ = [
    "Diagnosis",
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
    "diagnose",
    "draw",
    "match_moments",
    "moments",
    "plan",
    "select",
    "v_optimal",
]
