"""Where C++ projects find the core's headers and its library (docs/tutorials/cpp.md)."""

from __future__ import annotations

from pathlib import Path

from . import _core


def get_include() -> str:
    """The folder of the core's C++ headers, for `#include <skmm/skmm.hpp>`.

    Returns
    -------
    str

    Raises
    ------
    FileNotFoundError
        The headers are not beside the compiled module, as in a copy of that module alone.

    Examples
    --------
    >>> import skmm_fast as skmm
    >>> skmm.get_include()  # doctest: +SKIP
    '/usr/lib/python3/dist-packages/skmm_fast/include'
    """
    return _installed("include", "skmm/skmm.hpp")


def get_cmake_dir() -> str:
    """The folder of `skmmConfig.cmake`, for `skmm_DIR` and `find_package(skmm)` of CMake.

    Returns
    -------
    str

    Raises
    ------
    FileNotFoundError
        The library is not beside the compiled module, as in a copy of that module alone.

    Examples
    --------
    >>> import skmm_fast as skmm
    >>> skmm.get_cmake_dir()  # doctest: +SKIP
    '/usr/lib/python3/dist-packages/skmm_fast/lib/cmake/skmm'
    """
    return _installed("lib/cmake/skmm", "skmmConfig.cmake")


def _installed(folder: str, file: str) -> str:
    """The path of a folder that CMake installed beside the compiled module, with this file."""
    path = Path(_core.__file__).parent / folder
    if not (path / file).exists():
        raise FileNotFoundError(
            f"expected {path / file}: the C++ headers and library come with an installed package, "
            "and this copy of its compiled module has none; install skmm-fast by pip"
        )
    return str(path)
