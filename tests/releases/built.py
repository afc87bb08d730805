"""
The release data as every command loads them: `config/versions.yml` without a parser of YAML.

`python -m tests.releases.built` writes them again after that file was edited.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from fabnode.releases.matrix import BUILT, FILE
from fabnode.util.yaml_io import parse


def built() -> dict[str, Any]:
    """Return what has to be in `versions.json`."""
    content = FILE.read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "document": parse(content)}


if __name__ == "__main__":
    BUILT.write_text(json.dumps(built(), indent=1, ensure_ascii=False) + "\n")
