"""Questions of PAM and sudo: whether a password is what they want."""

from __future__ import annotations

import re

_PASSWORD = re.compile(
    r"pass(word|wort)|kennwort|mot de passe|contrase|senha|parola|wachtwoord|lösen|hasło|парол"
    r"|密码|密碼|口令|パスワード|암호",
    re.IGNORECASE,
)
_MORE = re.compile(r"one.?time|\botp\b|code|token|\bpin\b|factor|duo", re.IGNORECASE)
_QUESTION = re.compile(r"[:?：？>]\s*$")


def asks_password(text: str) -> bool:
    """Return whether a prompt asks for the account's password, and for nothing beside it."""
    return _PASSWORD.search(text) is not None and _MORE.search(text) is None


def is_question(text: str) -> bool:
    """Return whether a line without an end is one that waits for an answer."""
    return _QUESTION.search(text) is not None
