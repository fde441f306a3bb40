"""Whether a run was begun by this user on this machine.

A run directory may come from anybody, and its configuration may name code (`my_file.py:space`).
Such code runs again only if the same user has named it once. So every run carries a seal: a keyed
digest of its configuration. The key is a file in the user's own state directory. A run without a
fitting seal is somebody else's, and its code has to be named again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def seal(config: Mapping[str, Any]) -> str:
    """The digest of a configuration under this user's key.

    The key is made if it is not there. Empty if the key cannot be read or kept.
    """
    try:
        key = _key()
    except OSError:
        return ""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def is_sealed(config: Mapping[str, Any], given: str) -> bool:
    """Whether this user has sealed the configuration on this machine."""
    # Compared as bytes: a damaged journal may hold any text here.
    return bool(given) and hmac.compare_digest(seal(config).encode(), str(given).encode())


def refuse_foreign_code(
    names: Iterable[str], *, own: bool, claim: str, kind: str, remedy: str
) -> None:
    """Refuses to run the code that a run or a fitted predictor names, unless it is the user's own.

    Args:
        names: what it names; a name with a colon (`my_file.py:space`) is code.
        own: whether this user named it, now or when it was sealed (`is_sealed`).
        claim: the beginning of the sentence, before `the code my_file.py:space`.
        kind: what says so: `run` or `file`.
        remedy: the end of the sentence: how the user names the code.

    Raises:
        ValueError: there is code, and it is not the user's own.
    """
    code = [name for name in names if ":" in name]
    if code and not own:
        raise ValueError(
            f"{claim} the code {', '.join(code)}, and code is not run because a {kind} says so: "
            f"{remedy}"
        )


def _key() -> bytes:
    home = os.environ.get("XDG_STATE_HOME")
    path = (Path(home) if home else Path.home() / ".local" / "state") / "surrogate-nas" / "key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"key.{os.getpid()}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
        # The first process that links it wins, so that two first runs at once share one key.
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_bytes()
