"""PGVAE: draws from a latent space in which good architectures lie near the origin.

The method is of Ghaffari et al., ICLR 2024 (arXiv 2305.13650).

    evaluated -> categories -> autoencoder, ordered by score -> places near the origin -> categories
    -> the program replayed -> new ones

Shapes: N evaluated architectures, M drawn ones, G columns of categories, D latent dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy

from nas.record.history import History
from nas.record.trials import Trial
from nas.seeds import derive, generator
from nas.strategies import weighting
from nas.strategies.strategy import Asked, novel, random_draws, random_proposals
from predictors.vae import Network, VAESettings, fit_vae, sampling_scale
from spaces import Architecture, SearchSpace
from spaces.codes import Codes, codes
from spaces.operators import attempt, domains

# How many places are drawn and decoded at once, and how many times this is done before the rest of
# a batch is drawn at random.
DRAWN, TIMES = 100, 6
# Each time, places are drawn this many times farther from the origin than the time before: if all
# architectures near it are known, new ones lie farther out.
WIDER = 1.25
WEIGHTINGS = ("pgvae", "rwr", "dbas", "cbas", "cem")


@dataclass(frozen=True)
class PGVAE:
    """Architectures decoded from places near the origin of an autoencoder's latent space.

    The autoencoder is fitted anew to all evaluated architectures for every batch.

    Attributes:
        initial: at least this many are drawn at random before the first fit (whole batches).
        weighting: `pgvae` orders the latent space by score. The others are baselines: they weight
            the architectures by score, and draw from the prior.
        latent: dimensions of the latent space.
        width: hidden features of the encoder and the decoder.
        steps: optimiser steps of a fit.
        beta: weight of the divergence from the prior, relative to the reconstruction loss.
        tau: for `pgvae`: the wanted difference between the prior log-densities of the best and the
            worst architecture; those in between are spaced by rank.
        order: for `pgvae`: weight of the loss that asks for this order.
        target: for `pgvae`: draws reach down to this share of the ranks.
        quantile: for `dbas`, `cbas` and `cem`: architectures above this quantile of the scores
            count.
        temperature: for `rwr`: weights are exp(rank / temperature), where the rank is 0 for the
            worst architecture and 1 for the best.
    """

    initial: int = 40
    weighting: Literal["pgvae", "rwr", "dbas", "cbas", "cem"] = "pgvae"
    latent: int = 4
    width: int = 32
    steps: int = 300
    beta: float = 0.01
    tau: float = 5.0
    order: float = 100.0
    target: float = 0.99
    quantile: float = 0.95
    temperature: float = 0.03

    def __post_init__(self) -> None:
        for name, least in (("initial", 2), ("latent", 1), ("width", 1), ("steps", 1)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"pgvae needs {name} to be {least} or more; got {getattr(self, name)}"
                )
        if self.weighting not in WEIGHTINGS:
            raise ValueError(
                f"pgvae knows no weighting {self.weighting!r}; known: {', '.join(WEIGHTINGS)}"
            )
        for name in ("beta", "order"):
            if getattr(self, name) < 0:
                raise ValueError(f"pgvae needs {name} to be 0 or more; got {getattr(self, name)}")
        for name in ("tau", "temperature"):
            if getattr(self, name) <= 0:
                raise ValueError(f"pgvae needs {name} to be above 0; got {getattr(self, name)}")
        if not (0 <= self.target <= 1 and 0 <= self.quantile < 1):
            raise ValueError(
                "pgvae's target and quantile are shares of the scores between 0 and 1; got "
                f"{self.target} and {self.quantile}"
            )

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`. A failure counts as the worst score."""
        if len(history.trials) < self.initial:
            return Asked(random_proposals(space, history, count, seed), "initial design: random")
        if not history.observed:
            return Asked(
                random_proposals(space, history, count, seed), "nothing has succeeded yet: random"
            )
        return Asked(novel(space, history, self._draws(space, history, seed), count))

    def _draws(
        self, space: SearchSpace, history: History, seed: int
    ) -> Iterator[tuple[Architecture, str]]:
        done = [trial for trial in history.trials if trial.outcome is not None]
        code = codes([domains(space, trial.architecture) for trial in done])
        if code.sizes:
            yield from self._decoded(space, code, done, derive(seed, "pgvae", len(history.trials)))
        yield from random_draws(space, history, seed)

    def _decoded(
        self, space: SearchSpace, code: Codes, done: list[Trial], seed: int
    ) -> Iterator[tuple[Architecture, str]]:
        code_NG = code.encode([trial.architecture.answers for trial in done])
        model = self._fit(code, code_NG, ranks(done), seed)
        scale = self._scale()
        noise = numpy.random.default_rng(derive(seed, "places"))
        random = generator(seed, "replay")
        for time in range(TIMES):
            z_MD = scale * WIDER**time * noise.standard_normal((DRAWN, self.latent))
            for code_G in model.decode(z_MD, noise).tolist():
                architecture = attempt(space, code.decode(code_G, random), random)
                if architecture is not None:
                    yield architecture, "latent"

    def _scale(self) -> float:
        """The standard deviation of the draws; 1 is the prior's."""
        if self.weighting == "pgvae":
            return sampling_scale(self.latent, self.tau, 1 - self.target)
        return 1.0

    def _fit(
        self, code: Codes, code_NG: numpy.ndarray, score_N: numpy.ndarray, seed: int
    ) -> Network:
        recipe = VAESettings(
            self.latent,
            self.width,
            self.steps,
            beta=self.beta,
            tau=self.tau,
            order=self.order if self.weighting == "pgvae" else 0.0,
        )
        alike_N = numpy.ones(len(score_N))
        if self.weighting == "pgvae":
            weight_N = alike_N
        elif self.weighting == "rwr":
            weight_N = weighting.rwr(score_N, self.temperature)
        elif self.weighting == "cem":
            weight_N = weighting.cem(score_N, self.quantile)
        elif self.weighting == "dbas":
            weight_N = weighting.dbas(score_N, self.quantile)
        else:
            first = slice(0, self.initial)
            before = fit_vae(
                recipe,
                code_NG[first],
                code.sizes,
                score_N[first],
                alike_N[first],
                derive(seed, "before"),
            )
            now = fit_vae(recipe, code_NG, code.sizes, score_N, alike_N, derive(seed, "now"))
            log_ratio_N = before.log_likelihood(code_NG) - now.log_likelihood(code_NG)
            weight_N = weighting.cbas(score_N, self.quantile, log_ratio_N)
        return fit_vae(recipe, code_NG, code.sizes, score_N, weight_N, derive(seed, "fit"))


def ranks(done: list[Trial]) -> numpy.ndarray:
    """(N,) the rank of each score: the share of the other scores that it is above.

    Equal scores count half, and a failure counts as the worst score. Ranks are used because a few
    extremely bad networks would compress the scale of all other scores.
    """
    worst = min(trial.score for trial in done if trial.is_observed)
    score_N = numpy.array([trial.score if trial.is_observed else worst for trial in done])
    ordered_N = numpy.sort(score_N)
    below_N = numpy.searchsorted(ordered_N, score_N, "left")
    at_most_N = numpy.searchsorted(ordered_N, score_N, "right")
    return (below_N + at_most_N - 1) / 2 / max(len(done) - 1, 1)
