"""Whether a run was begun by this user on this machine.

A run directory may come from anybody, and its configuration may name code (`my_file.py:space`). So
that such code runs again only where the same user has once named it, every run carries a seal: the
configuration's keyed digest, the key being a file in the user's own state directory. A run without
a fitting seal is somebody else's, and its code has to be named again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def seal(config: Mapping[str, Any]) -> str:
    """The digest of a configuration under this user's key, which is made if it is not there; empty
    where it cannot be kept.
    """
    try:
        key = _key()
    except OSError:
        return ""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def is_sealed(config: Mapping[str, Any], given: str) -> bool:
    """Whether this user has sealed the configuration on this machine."""
    # As bytes, for a damaged journal may give anything here.
    return bool(given) and hmac.compare_digest(seal(config).encode(), str(given).encode())


def named_code(config: Mapping[str, Any]) -> tuple[str, ...]:
    """What a configuration names to be imported: files and modules of the user's."""
    names = [
        config.get("space"),
        *((config.get(section) or {}).get("name") for section in ("task", "strategy", "predictor")),
    ]
    over = (config.get("strategy") or {}).get("over")
    names.append(over.get("name") if isinstance(over, Mapping) else over)
    return tuple(name for name in names if isinstance(name, str) and ":" in name)


def _key() -> bytes:
    home = os.environ.get("XDG_STATE_HOME")
    path = (Path(home) if home else Path.home() / ".local" / "state") / "surrogate-nas" / "key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"key.{os.getpid()}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
        # Whoever links first wins, so that two first runs at once share one key.
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_bytes()
