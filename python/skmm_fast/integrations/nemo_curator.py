"""NeMo Curator: a stage that keeps a selection of the documents of each batch.

Tested with nemo-curator 1.4.0, whose pipelines take instances of its own class alone:
`SelectionStage` is made of it when it is first asked for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .._support.optional import need
from .column_choice import choice, require_count_or_share
from .of_base import with_base


class _Selecting:
    """A `ProcessingStage` of NeMo Curator that keeps a selection of each batch of documents.

    A stage sees one batch (a task) at a time, so the choice is made within each: it does not know
    what other batches hold. For one choice over all documents, collect the column and call
    `skmm_fast.select`.

    Parameters
    ----------
    n : int or float
        A count of documents in each batch, all of them where it has fewer; or a share of each,
        at least one.
    column : str, default "embeddings"
        The column of vectors: embeddings, or sketches of gradients.
    labels : str, optional
        A column of classes, the `y` of `select`.
    **options
        Other arguments of `select`.

    Raises
    ------
    TypeError, ValueError
        An n that is no count and no share; in `process` as `select`.

    Examples
    --------
    >>> import pandas as pd
    >>> from nemo_curator.tasks import DocumentBatch
    >>> from skmm_fast.integrations.nemo_curator import SelectionStage
    >>> rows = pd.DataFrame({"text": list("abcdefgh"), "embeddings": [[i, 1.0] for i in range(8)]})
    >>> batch = DocumentBatch(dataset_name="letters", data=rows)
    >>> len(SelectionStage(0.5).process(batch).data)
    4
    """

    name = "skmm_selection"

    def __init__(
        self,
        n: int | float,
        *,
        column: str = "embeddings",
        labels: str | None = None,
        **options: Any,
    ) -> None:
        require_count_or_share(n)
        self.n, self.column, self.labels, self.options = n, column, labels, options

    def inputs(self) -> tuple[list[str], list[str]]:
        """The attributes of a task, and the columns of its data, that the stage needs."""
        return ["data"], [self.column, *([] if self.labels is None else [self.labels])]

    def outputs(self) -> tuple[list[str], list[str]]:
        """The attributes of a task, and the columns of its data, that the stage changes."""
        return ["data"], []

    def process(self, task: Any) -> Any:
        """A task of the rows chosen, in their order. Its data are of the kind that they were, a
        DataFrame or an Arrow table."""
        y = None if self.labels is None else list(_values(task.data, self.labels))
        values = _values(task.data, self.column)
        chosen = choice(self.column, values, self.n, y, self.options)
        return task if chosen is None else replace(task, data=chosen.subset(task.data))


def _values(data: Any, name: str) -> Any:
    """A column of a DataFrame, or of an Arrow table as pandas has it."""
    column = data[name]
    return column.to_pandas() if hasattr(column, "to_pandas") else column


def __getattr__(name: str) -> Any:
    if name != "SelectionStage":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    base = need("nemo_curator.stages.base", "nemo-curator").ProcessingStage
    globals()[name] = stage = with_base(name, _Selecting, base)
    return stage
