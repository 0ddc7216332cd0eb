"""Data-Juicer: a selector that keeps a selection of the samples.

Tested with py-data-juicer 1.6.1, whose operators are of its own class: `SkmmSelector` is made of
it, and registered as "skmm_selector", when it is first asked for.
"""

from __future__ import annotations

from typing import Any

from .._support.optional import need
from .column_choice import choice, require_count_or_share
from .of_base import with_base


class _Selecting:
    """A `Selector` of Data-Juicer that keeps a selection of the samples.

    Parameters
    ----------
    n : int or float, default 0.5
        A count of samples, all of them where there are fewer; or a share of them.
    field_key : str, default "embedding"
        The field of vectors: embeddings, or sketches of gradients. A field inside of others is
        written with dots.
    label_key : str, optional
        A field of classes, the `y` of `select`.
    options : dict, optional
        Other arguments of `select`.
    **kwargs
        Those that all operators of Data-Juicer take.

    Raises
    ------
    TypeError, ValueError
        An n that is no count and no share; in `process` a field that is not there, and as `select`.

    Examples
    --------
    >>> import datasets
    >>> from skmm_fast.integrations.data_juicer import SkmmSelector
    >>> rows = {"text": list("abcdefgh"), "embedding": [[i, 1.0] for i in range(8)]}
    >>> len(SkmmSelector(n=3).process(datasets.Dataset.from_dict(rows)))
    3
    """

    def __init__(
        self,
        n: int | float = 0.5,
        field_key: str = "embedding",
        label_key: str | None = None,
        options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_count_or_share(n)
        self.n, self.field_key, self.label_key = n, field_key, label_key
        self.options = dict(options or {})

    def process(self, dataset: Any) -> Any:
        """The Hugging Face data set of the samples chosen, in their order."""
        y = None if self.label_key is None else _field(dataset, self.label_key)
        values = _field(dataset, self.field_key)
        chosen = choice(self.field_key, values, self.n, y, self.options)
        return dataset if chosen is None else dataset.select(chosen.indices)


def _field(dataset: Any, key: str) -> list[Any]:
    """The values of a field, of all samples."""
    first, *inner = key.split(".")
    if first not in dataset.column_names:
        raise ValueError(f"{key}: expected a field of {dataset.column_names}, got {first!r}")
    values = list(dataset[first])
    for part in inner:
        values = [value[part] for value in values]
    return values


def __getattr__(name: str) -> Any:
    if name != "SkmmSelector":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    operators = need("data_juicer.ops.base_op", "data-juicer")
    selector = with_base(name, _Selecting, operators.Selector)
    globals()[name] = operators.OPERATORS.register_module("skmm_selector")(selector)
    return selector
