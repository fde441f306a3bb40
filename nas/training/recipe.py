"""How a network is trained: the recipe, and the learning rates and batches that follow from it.

Importing this module does not import torch.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal, get_args

from nas.training.optimizers import OPTIMIZERS, OptimizerName
from nas.training.schedules import SCHEDULES, ScheduleName

ClassWeights = Literal["none", "balanced"]
# The fields of the first version. Later fields are part of a recipe's facts only if they are used,
# so that a checkpoint of an earlier version still belongs to its training.
_FIRST_FIELDS = (
    *("epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "momentum"),
    *("warmup_epochs", "label_smoothing", "gradient_clip", "amp", "channels_last"),
)


@dataclass(frozen=True)
class Recipe:
    """All that training needs to know beside the network and the task.

    Attributes:
        epochs: passes over the training data.
        batch_size: at most so many samples in a step.
        accumulate: in how many parts a batch goes through the network, one after the other, which
            takes less memory. The step is that of the whole batch, but batch norm sees the parts.
        optimizer: `sgd` (Nesterov), `adamw` (Loshchilov & Hutter 2019), `muon` (Jordan et al.
            2024), `soap` (Vyas et al. 2024; needs the extra `optim`) or `cosmos` (Liu et al. 2025).
            `muon` and `cosmos` are for hidden matrices, filters of convolutions among them;
            embeddings, the head and what has one dimension follow AdamW.
        learning_rate: at its peak, after the warm-up.
        weight_decay: on weights of two or more dimensions; biases and norms are left alone. `sgd`
            adds it to the gradient, all others decouple it.
        momentum: of `sgd` and `muon`.
        warmup_epochs: in which the learning rate rises linearly; may be a fraction.
        schedule: how the rate goes on after the warm-up (`nas.training.schedules`): `cosine`, half
            a period of it, to 0; `cosine_power`, which falls sooner; `power`, the smaller of the
            peak and batch_size * power_scale * n^power_exponent after n samples, with a linear
            decay to 0 at the end; `constant`.
        annealing_power: p of `cosine_power`; 1 is the cosine.
        power_scale, power_exponent: of `power`.
        decay_share: the share of all steps in which the rate of `power` decays.
        ema: the decay of an exponential moving average of the weights, which is what is validated,
            tested and saved; None: the weights themselves are.
        mixup, cutmix: alpha of the beta distribution by which each batch's samples are mixed
            (Zhang et al. 2018), or get a box of another sample (Yun et al. 2019); 0: they are not.
            With both, each batch draws one of them.
        class_weights: `balanced` weights samples so that each class counts the same; cross-entropy
            only.
        label_smoothing: share of each label spread over all classes; cross-entropy only.
        gradient_clip: largest norm of the gradient of all weights together; None: not clipped.
        amp: half precision on CUDA: bfloat16, or float16 with a scaled loss if the GPU lacks
            bfloat16.
        channels_last: keep images and filters with the channels innermost, which is faster on
            tensor cores.
        hopeless: a training ends after this share of its epochs, or later, if its loss is then no
            lower than that of always predicting the frequencies of the classes, or the mean of the
            targets; None: it always trains all epochs.
        compile: compile the network of a finalist with `torch.compile`.

    Raises:
        ValueError: a value is out of its range.
    """

    # A misspelt field of a configuration is an error.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    epochs: int = 12
    batch_size: int = 128
    optimizer: OptimizerName = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    momentum: float = 0.9
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.0
    gradient_clip: float | None = None
    amp: bool = True
    channels_last: bool = True
    accumulate: int = 1
    schedule: ScheduleName = "cosine"
    annealing_power: float = 10.0
    power_scale: float = 4.0
    power_exponent: float = -0.51
    decay_share: float = 0.1
    ema: float | None = None
    mixup: float = 0.0
    cutmix: float = 0.0
    class_weights: ClassWeights = "none"
    hopeless: float | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        def within(value: float | None, low: float, high: float = math.inf) -> bool:
            return value is None or low <= value < high

        warmup_fits = 0 <= self.warmup_epochs <= self.epochs
        clip_is_valid = self.gradient_clip is None or self.gradient_clip > 0
        hopeless_is_valid = self.hopeless is None or 0 < self.hopeless <= 1
        pairs, named = self.batch_size // max(2, 2 * self.accumulate), get_args(ClassWeights)
        rules = (
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 2, "at least 2, for batch norm needs two samples"),
            ("accumulate", self.accumulate >= 1 and pairs, "from 1 to half the batch size"),
            ("optimizer", self.optimizer in OPTIMIZERS, " or ".join(map(repr, OPTIMIZERS))),
            ("learning_rate", 0 < self.learning_rate < math.inf, "positive"),
            ("weight_decay", within(self.weight_decay, 0), "0 or more"),
            ("momentum", 0 < self.momentum < 1, "between 0 and 1"),
            ("warmup_epochs", warmup_fits, "between 0 and the number of epochs"),
            ("schedule", self.schedule in SCHEDULES, " or ".join(map(repr, SCHEDULES))),
            ("annealing_power", within(self.annealing_power, 1), "at least 1"),
            ("power_scale", 0 < self.power_scale < math.inf, "positive"),
            ("power_exponent", -math.inf < self.power_exponent <= 0, "0 or less"),
            ("decay_share", 0 <= self.decay_share <= 1, "from 0 to 1"),
            ("label_smoothing", within(self.label_smoothing, 0, 1), "at least 0 and less than 1"),
            ("gradient_clip", clip_is_valid, "positive, or null"),
            ("ema", within(self.ema, 0, 1), "at least 0 and less than 1, or null"),
            ("mixup", within(self.mixup, 0), "0 or more"),
            ("cutmix", within(self.cutmix, 0), "0 or more"),
            ("class_weights", self.class_weights in named, " or ".join(map(repr, named))),
            ("hopeless", hopeless_is_valid, "more than 0 and at most 1, or null"),
        )
        for name, holds, expected in rules:
            if not holds:
                raise ValueError(f"a recipe's {name} is {expected}; got {getattr(self, name)!r}")

    @property
    def mixes(self) -> bool:
        """Whether the samples of a batch are mixed."""
        return max(self.mixup, self.cutmix) > 0

    @property
    def samples_at_once(self) -> int:
        """How many samples go through the network together, at most."""
        return self.batch_size // self.accumulate

    def facts(self) -> dict[str, Any]:
        """The values by name that say which recipe this is, in a fixed order.

        A field that is younger than the first version is left out where it has its default.
        """
        usual = asdict(Recipe())
        return {
            name: value
            for name, value in asdict(self).items()
            if name in _FIRST_FIELDS or value != usual[name]
        }

    def epochs_at(self, fidelity: float) -> int:
        """The number of epochs that are trained at this fidelity, at least one.

        The learning rates stay those of the whole training, which is only paused.

        Raises:
            ValueError: the fidelity is not in (0, 1].
        """
        if not 0 < fidelity <= 1:
            raise ValueError(
                f"a fidelity is a share of the epochs, more than 0 and at most 1; got {fidelity}"
            )
        return max(1, round(self.epochs * fidelity))

    def with_half_the_batch(self) -> Recipe:
        """The recipe with half the batch size, and the learning rate scaled for its optimizer."""
        share = 0.5 ** OPTIMIZERS[self.optimizer].batch_exponent
        return replace(
            self,
            batch_size=max(2 * self.accumulate, self.batch_size // 2),
            learning_rate=self.learning_rate * share,
        )


def learning_rates(recipe: Recipe, steps_per_epoch: int) -> list[float]:
    """The learning rate at each step of the training.

    The training has n steps, w of them warm-up. In the warm-up the rate of step i is
    first * (i + 1) / (w + 1), where `first` is the rate of the step after it: the peak, or what the
    schedule `power` has there. Then follows the schedule (`nas.training.schedules`), such as
    peak / 2 * (1 + cos(pi * t)) with t = (i - w) / (n - w): the first step after the warm-up has
    the peak rate, and the last step a rate just above 0.

    >>> learning_rates(Recipe(epochs=3, learning_rate=0.8, warmup_epochs=1), steps_per_epoch=1)
    [0.4, 0.8, 0.4]
    """
    steps = recipe.epochs * steps_per_epoch
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    falling = SCHEDULES[recipe.schedule](recipe, warmup, steps)
    first = falling[0] if falling else 1.0
    rising = [first * (step + 1) / (warmup + 1) for step in range(warmup)]
    return [recipe.learning_rate * share for share in rising + falling]


def batch_bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """The first row of each batch of an epoch, and the row behind its last.

    The batches are as few as can hold `count` samples, and their sizes differ by at most one. No
    batch has a single sample unless `count` is 1, because batch norm needs two: where a batch would
    have one sample, the batches may be larger than `batch_size` by one.

    >>> batch_bounds(10, 4)
    [(0, 3), (3, 6), (6, 10)]
    """
    batches = max(1, min(-(-count // batch_size), count // 2))
    return [
        (count * number // batches, count * (number + 1) // batches) for number in range(batches)
    ]
