"""What is wrong with the deployer's artifacts."""

from __future__ import annotations

from ..util.errors import InputError


class ArtifactError(InputError):
    """A configured binary, archive or manifest is missing or unreadable."""

    advice = "correct `artifacts` or `calico` in the configuration"
