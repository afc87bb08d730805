"""Location of fabnode's files that are not code: templates, release data."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_DATA = _PACKAGE / "data"  # in a wheel (pyproject.toml); in a clone these files lie beside

IN_WHEEL = _DATA.is_dir()
ROOT = _DATA if IN_WHEEL else _PACKAGE.parent
