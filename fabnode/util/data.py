"""The files that belong to fabnode and are not code: templates, release data."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_IN_WHEEL = (
    _PACKAGE / "data"
)  # where the wheel has them (pyproject.toml); in a clone they lie beside

ROOT = _IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parent
