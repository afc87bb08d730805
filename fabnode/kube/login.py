"""Who a client of the API is: a client certificate, a token, and how they are renewed in a run."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Identity:
    """
    What a client proves itself with.

    :param client_pem: certificates and key.
    :param until: when to read it again, in seconds since 1970; never, by default.
    """

    client_pem: bytes | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    until: float = field(default=math.inf, compare=False)


class Login:
    """
    An identity that is read again once it has expired or was refused. Thread-safe.

    :param read: None: it is never read again.
    """

    def __init__(self, identity: Identity, read: Callable[[], Identity] | None = None) -> None:
        self._identity = identity
        self._read = read
        self._lock = threading.Lock()

    def current(self) -> Identity:
        """Return the identity, read again where its time is over. Raises what `read` raises."""
        with self._lock:
            if self._read and time.time() >= self._identity.until:
                self._identity = self._read()
            return self._identity

    def after(self, refused: Identity) -> Identity:
        """
        Return the identity to try after one was refused: the same one where there is no other.

        :raises FabnodeError: what `read` raises.
        """
        with self._lock:
            # Of many threads that were refused, the first reads; the others go on with that.
            if self._read and self._identity is refused:
                self._identity = self._read()
            return self._identity
