"""`SearchEnvironment` as a `gymnasium.Env`; imported only on demand, as it needs gymnasium."""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium  # pyright: ignore[reportMissingImports]


class Wrapped(Protocol):
    """The interface of the wrapped environment, which is `nas.outside.SearchEnvironment`."""

    @property
    def observation_space(self) -> Any: ...

    @property
    def action_space(self) -> Any: ...

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]: ...

    def step(self, action: Any) -> Any: ...

    def close(self) -> None: ...


class GymnasiumEnvironment(gymnasium.Env):
    """A `gymnasium.Env` that passes every call on to `environment`."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(self, environment: Wrapped) -> None:
        self.environment = environment
        self.observation_space = environment.observation_space
        self.action_space = environment.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.environment.reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        return self.environment.step(action)

    def close(self) -> None:
        self.environment.close()
