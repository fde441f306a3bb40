"""The tasks on text: their files, their tokens, what is hidden, who may see the next token, and an
export that reads raw text.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from nas.config.config import load_config, parse_config
from nas.config.shapes import shapes_from_json, shapes_to_json
from nas.evaluators.evaluator import Observation
from nas.evaluators.train import TrainEvaluator
from nas.export import export, exporting
from nas.export.preprocessing import objective_of, tokenizer_of
from nas.export.weights import load_weights, read_weights
from nas.prediction.labels import with_shapes
from nas.proxies.batch import task_batch
from nas.record.environment import environment
from nas.record.history import Trial, finished_event, outcome_event, round_event
from nas.record.journal import create
from nas.search.run import weights_file
from nas.tasks import load_task
from nas.tasks.causal import Causal
from nas.tasks.masking import Masking
from nas.tasks.task import Split, Task
from nas.tasks.token_scores import (
    IGNORED,
    Mean,
    negative_nats_per_token,
    token_accuracy,
    token_cross_entropy,
)
from nas.tasks.tokens import (
    MASK,
    PADDING,
    SPECIAL,
    UNKNOWN,
    encode_all,
    encode_each,
    to_length,
    train_tokenizer,
)
from nas.training.loop import NotFinite, evaluate_split, train
from nas.training.recipe import Recipe
from spaces import Architecture, SearchSpace, Shapes
from spaces.canonical import canonical_key

Tokenizer = pytest.importorskip("tokenizers").Tokenizer

CPU = torch.device("cpu")
WORDS = ("the plot is slow", "a long film", "the music and the film", "slow and long")
POEM = (
    "".join(
        f"the {animal} sat on the {place}\nand the {place} was glad\n\n"
        for animal in ("cat", "dog", "owl")
        for place in ("mat", "rug", "log")
    )
    * 6
)


def save_texts(
    path: Path, count: int = 40, labels: tuple[str, ...] = ("praise", "blame"), extra: str = ""
) -> str:
    lines = [
        f"{WORDS[number % 4]} {'good' if number % 2 else 'bad'} "
        f"{number % 7}\t{labels[number % len(labels)]}\n"
        for number in range(count)
    ]
    path.write_text("".join(lines) + extra, encoding="utf-8")
    return str(path)


def save_poem(path: Path, text: str = POEM) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def seeded(make, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


# The tokenizer


@given(
    st.lists(st.text(alphabet="ab \n<é", max_size=20), min_size=1, max_size=8), st.integers(0, 30)
)
@settings(max_examples=30, deadline=None)
def test_tokens_lose_nothing_and_are_within_the_vocabulary(texts, more):
    least = 3 + len({byte for text in texts for byte in text.encode()})
    tokenizer = train_tokenizer(texts, least + more, mask=True)
    tokens = encode_all(tokenizer, texts)
    assert tokenizer.decode(tokens.tolist()) == "".join(texts)
    assert tokenizer.get_vocab_size() <= least + more
    assert tokens.dtype == torch.int64
    assert ((tokens > MASK) & (tokens < tokenizer.get_vocab_size())).all()


def test_a_text_is_cut_and_padded_and_cannot_spell_a_special_token():
    tokenizer = to_length(
        train_tokenizer(["abab", "ab c <>pdingtokeuwms"], 40, mask=True, sentences=True), 4
    )
    tokens = encode_each(tokenizer, ["a", "ab", "ababababab", "☃", *SPECIAL])
    assert tokens.shape == (7, 4)
    assert tokens[0, -2:].tolist() == [PADDING] * 2
    assert (tokens[2] > MASK).all()
    assert (tokens[3] == UNKNOWN).sum() == 3
    assert (tokens[4:] > MASK).all(), "not even where the text says so"


def test_a_vocabulary_that_cannot_be_says_the_least():
    with pytest.raises(
        ValueError,
        match=(
            "the text has 3 different bytes, and 2 tokens are special: vocabulary is at least 5, "
            "got 4"
        ),
    ):
        train_tokenizer(["abc"], 4)
    assert train_tokenizer(["abc"], 5).get_vocab_size() == 5


def test_a_missing_library_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ValueError, match=r"surrogate-nas\[text\]"):
        load_task("text", path=save_texts(tmp_path / "a.tsv"))


# Texts in classes


def test_texts_become_a_task(tmp_path):
    path = save_texts(tmp_path / "reviews.tsv")
    task = load_task(
        "text", path=path, length=7, vocabulary=60, validation_share=0.25, test_share=0.25
    )
    assert (task.name, task.classes, task.metric) == ("reviews", ("blame", "praise"), "accuracy")
    assert (len(task.train), len(task.validation), len(task.test)) == (20, 10, 10)
    assert task.shapes.input == (7,)
    assert task.shapes.output == (2,)
    assert task.shapes.vocabulary is not None
    assert all(
        split.inputs.dtype == torch.int64 and split.inputs.max() < task.shapes.vocabulary <= 60
        for split in (task.train, task.test)
    )
    assert task.train.targets.double().mean() == 0.5
    assert task.prepare(task.train.inputs) is task.train.inputs
    other = load_task(
        "text", path=path, length=7, vocabulary=60, validation_share=0.25, test_share=0.25, seed=1
    )
    assert not torch.equal(task.test.inputs, other.test.inputs)


def test_validation_and_test_may_have_files_and_lines_more_columns(tmp_path):
    (tmp_path / "train.tsv").write_text(
        "id\tlabel\ttext\n" + "".join(f"{n}\t{n % 12}\tword{n} again\r\n" for n in range(36))
    )
    for name in ("other.tsv", "another.tsv"):
        (tmp_path / name).write_text("id\tlabel\ttext\n1\t10\tword again\n2\t2\tagain")
    options = {
        "path": str(tmp_path / "train.tsv"),
        "text_column": 2,
        "label_column": 1,
        "header": True,
        "length": 4,
    }
    task = load_task(
        "text",
        **options,
        test=str(tmp_path / "other.tsv"),
        validation=str(tmp_path / "another.tsv"),
    )
    assert task.classes == tuple(map(str, range(12))), "numbers in their order"
    assert (len(task.train), len(task.validation), len(task.test)) == (36, 2, 2)
    assert task.test.targets.tolist() == [10, 2]
    assert task.train.targets.tolist() == [n % 12 for n in range(36)]
    assert (
        len(
            load_task(
                "text", **options, test=str(tmp_path / "other.tsv"), validation_share=0.5
            ).validation
        )
        == 18
    )


def test_the_same_tokens_in_another_process(tmp_path):
    path = save_texts(tmp_path / "a.tsv")
    code = (
        "import sys; from nas.tasks import load_task; print(load_task('text', "
        "path=sys.argv[1]).tokenizer)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert json.loads(said) == json.loads(load_task("text", path=path).tokenizer)


def test_the_tokenizer_has_seen_the_training_texts_only(tmp_path):
    known = save_texts(tmp_path / "a.tsv")
    strange = [tmp_path / "b.tsv", tmp_path / "c.tsv"]
    for file in strange:
        file.write_text("ZZZZ ZZZZ\tpraise\nQQQQ QQQQ\tblame\n" * 9)
    task = load_task(
        "text", path=known, test=str(strange[0]), validation=str(strange[1]), vocabulary=2000
    )
    assert not any(
        letter in token for token in json.loads(task.tokenizer)["model"]["vocab"] for letter in "ZQ"
    )
    assert (task.test.inputs == UNKNOWN).any()
    poem = load_task(
        "language_model",
        path=save_poem(tmp_path / "poem.txt", POEM + "ZQ" * 400),
        length=8,
        validation_share=0.3,
        test_share=0.2,
    )
    assert not any(
        letter in token for token in json.loads(poem.tokenizer)["model"]["vocab"] for letter in "ZQ"
    )


@pytest.mark.parametrize(
    ("extra", "options", "says"),
    [
        (
            "a film without a label\n",
            {},
            "line 41 of .* should have a text in column 0 and a label in column 1, .*; it has 1: "
            "'a film without",
        ),
        ("\tpraise\n", {}, "line 41 of .* has an empty text"),
        ("a film\t\n", {}, "line 41 of .* has an empty label"),
        ("", {"label_column": 2}, "line 1 of .* label in column 2, .*; it has 2"),
        ("", {"label_column": 0}, "two numbers from 0"),
        ("", {"vocabulary": 5}, "vocabulary is at least"),
        ("", {"length": 0}, "length is how many tokens of a text a network sees, at least 1"),
        ("", {"test_share": 0.001}, "leaves a split empty"),
    ],
)
def test_texts_that_do_not_fit_are_refused(tmp_path, extra, options, says):
    with pytest.raises(ValueError, match=says):
        load_task("text", path=save_texts(tmp_path / "a.tsv", extra=extra), **options)


def test_files_that_do_not_fit_are_refused(tmp_path):
    path = save_texts(tmp_path / "a.tsv")
    for task in ("text", "language_model"):
        with pytest.raises(ValueError, match="there is no file"):
            load_task(task, path=str(tmp_path / "missing.tsv"))
        (tmp_path / "latin.tsv").write_bytes("häßlich\t1\n".encode("latin-1"))
        with pytest.raises(ValueError, match="should be text in UTF-8; its byte 1 is not"):
            load_task(task, path=str(tmp_path / "latin.tsv"))
    with pytest.raises(
        ValueError,
        match=r"line 3 of .*b.tsv has the label 'dull', which no line of .*a.tsv has; its labels are blame, praise",
    ):
        load_task(
            "text",
            path=path,
            test=save_texts(tmp_path / "b.tsv", labels=("praise", "blame", "dull")),
        )
    with pytest.raises(
        ValueError,
        match=r"all texts of .*c.tsv have one label, 'praise': .* is label_column 1 the right one",
    ):
        load_task("text", path=save_texts(tmp_path / "c.tsv", labels=("praise",)))
    (tmp_path / "named.tsv").write_text("text\tlabel\n" + (tmp_path / "a.tsv").read_text())
    with pytest.raises(
        ValueError,
        match=r"line 1 of .*named.tsv has the label 'label', which no other line has: .* header: true",
    ):
        load_task("text", path=str(tmp_path / "named.tsv"))
    for task in ("text", "language_model"):
        with pytest.raises(
            ValueError, match="vocabulary is how many tokens there may be at most; got -3"
        ):
            load_task(task, path=path, vocabulary=-3)
    (tmp_path / "head.tsv").write_text("text\tlabel\n")
    with pytest.raises(ValueError, match="holds no texts"):
        load_task("text", path=str(tmp_path / "head.tsv"), header=True)


def test_empty_lines_are_no_texts_and_room_for_too_many_tokens_is_not_made(tmp_path):
    path = tmp_path / "a.tsv"
    plain = load_task("text", path=save_texts(path), length=8)
    path.write_text(path.read_text().replace("\n", "\n\n"))
    gappy = load_task("text", path=str(path), length=8, vocabulary=10**12)
    assert torch.equal(plain.train.inputs, gappy.train.inputs)


def test_a_config_finds_the_files_beside_it(tmp_path):
    save_texts(tmp_path / "a.tsv")
    (tmp_path / "c.yaml").write_text(
        "space: convnet\ntask: {name: text, path: a.tsv, test: a.tsv, validation: a.tsv}\n"
    )
    config = load_config(tmp_path / "c.yaml")
    assert config.task is not None
    assert {config.task.settings[key] for key in ("path", "test", "validation")} == {
        str((tmp_path / "a.tsv").resolve())
    }


# Language models


def test_a_text_is_cut_by_position_into_windows(tmp_path):
    text = "".join(chr(97 + place // 100) for place in range(1000))
    task = load_task(
        "language_model",
        path=save_poem(tmp_path / "t.txt", text),
        objective="causal",
        length=3,
        vocabulary=9,
        test_share=0.2,
    )
    assert task.shapes == Shapes((3,), (3, 9), vocabulary=9), (
        "two special tokens, seven letters in the training part"
    )
    assert (len(task.train), len(task.validation), len(task.test)) == (699 // 3, 99 // 3, 199 // 3)
    assert torch.equal(
        task.train.inputs.flatten(), torch.arange(2, 9).repeat_interleave(100)[: 3 * 233]
    )
    assert torch.equal(
        task.train.targets.flatten(), torch.arange(2, 9).repeat_interleave(100)[1 : 3 * 233 + 1]
    )
    assert (task.validation.inputs == UNKNOWN).all()
    assert task.corrupt is None
    assert task.check == Causal(9)


def test_what_is_hidden_is_fixed_for_validation_and_drawn_anew_for_training(tmp_path):
    path = save_poem(tmp_path / "poem.txt")
    task, again, other = (
        load_task("language_model", path=path, length=20, vocabulary=60, seed=seed)
        for seed in (0, 0, 1)
    )
    assert task.check is None
    assert torch.equal(task.validation.inputs, again.validation.inputs)
    assert torch.equal(task.test.targets, again.test.targets)
    assert not torch.equal(task.validation.targets, other.validation.targets)
    assert torch.equal(task.train.inputs, task.train.targets)
    assert ((task.validation.targets != IGNORED).sum(1) == 3).all()
    assert task.corrupt is not None
    generator = torch.Generator().manual_seed(0)
    first, second = (
        task.corrupt(task.train.inputs, task.train.targets, generator) for _ in range(2)
    )
    assert not torch.equal(first[1], second[1])
    batch = task_batch(task, 8, seed=0)
    assert ((batch.targets != IGNORED).sum(1) == 3).all(), "a proxy's batch is corrupted too"


@given(st.integers(1, 40), st.integers(5, 60), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_targets_are_the_hidden_tokens_and_nothing_else_changes(length, vocabulary, seed):
    inputs = torch.randint(
        3, vocabulary, (4, length), generator=torch.Generator().manual_seed(seed)
    )
    corrupted, targets = Masking(vocabulary)(inputs, inputs, torch.Generator().manual_seed(seed))
    chosen = targets != IGNORED
    assert (chosen.sum(1) == max(1, round(0.15 * length))).all()
    assert torch.equal(targets[chosen], inputs[chosen])
    assert torch.equal(corrupted[~chosen], inputs[~chosen])
    assert ((corrupted == MASK) | ((corrupted > MASK) & (corrupted < vocabulary))).all()


def test_of_the_hidden_80_percent_are_the_mask_10_any_token_and_10_themselves():
    inputs = torch.randint(3, 1000, (2000, 100), generator=torch.Generator().manual_seed(0))
    corrupted, targets = Masking(1000)(inputs, inputs, torch.Generator().manual_seed(1))
    chosen = targets != IGNORED
    masked = (corrupted[chosen] == MASK).double().mean().item()
    kept = (corrupted[chosen] == inputs[chosen]).double().mean().item()
    assert chosen.double().mean() == 0.15
    # 30,000 tokens: a deviation of 0.0023 at 0.8 and of 0.0017 at 0.1.
    assert masked == pytest.approx(0.8, abs=0.01)
    assert kept == pytest.approx(0.1, abs=0.008)
    assert 1 - masked - kept == pytest.approx(0.1, abs=0.008)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"length": 1}, "length is how many tokens stand in a window, at least 2; got 1"),
        ({"validation_share": 0.5, "test_share": 0.5}, "together below 1"),
        ({"length": 5000}, "the training part of .* has .* tokens, too few for one window of 5000"),
        ({"objective": "both"}, "input should be 'masked' or 'causal'; got 'both'"),
        ({"vocabulary": 6}, "3 tokens are special: vocabulary is at least"),
    ],
)
def test_wrong_options_of_a_language_model_are_refused(tmp_path, options, says):
    with pytest.raises(ValueError, match=says):
        load_task("language_model", path=save_poem(tmp_path / "p.txt"), **options)


# Scores of tokens


def test_scores_of_tokens_are_those_written_out():
    generator = torch.Generator().manual_seed(0)
    outputs, targets = (
        torch.randn(4, 5, 7, generator=generator),
        torch.randint(7, (4, 5), generator=generator),
    )
    targets[:, ::2] = IGNORED
    right, nats = [], []
    for row, place in [(row, place) for row in range(4) for place in (1, 3)]:
        shares = outputs[row, place].double().softmax(0)
        nats.append(math.log(shares[targets[row, place]]))
        right.append(int(shares.argmax()) == targets[row, place])
    assert negative_nats_per_token(outputs, targets) == pytest.approx(sum(nats) / 8, rel=1e-5)
    assert token_accuracy(outputs, targets) == sum(right) / 8
    assert token_cross_entropy(outputs, targets).item() == pytest.approx(-sum(nats) / 8, rel=1e-5)
    even = torch.zeros(4, 5, 7)
    assert negative_nats_per_token(even, targets) == pytest.approx(-math.log(7), rel=1e-6)


class Table(nn.Module):
    """Each token's outputs by its own row: sees nothing of the others."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.rows = nn.Embedding(vocabulary, vocabulary)
        self.largest_batch = 0

    def forward(self, tokens):
        self.largest_batch = max(self.largest_batch, len(tokens))
        return self.rows(tokens)


def token_task(metric="negative_nats_per_token", **changes) -> Task:
    tokens = torch.randint(3, 9, (30, 6), generator=torch.Generator().manual_seed(0))
    targets = torch.where(
        torch.arange(6) < torch.arange(30)[:, None] % 6 + 1, (tokens + 1) % 9, IGNORED
    )
    split = Split(tokens, targets)
    return Task(
        "tokens",
        split,
        split,
        split,
        Shapes((6,), (6, 9), vocabulary=9),
        "token_cross_entropy",
        metric,
        **changes,
    )


@pytest.mark.parametrize("metric", ["negative_nats_per_token", "token_accuracy"])
def test_a_mean_is_taken_a_batch_at_a_time_and_is_that_of_the_whole(metric):
    task, module = token_task(metric), seeded(lambda: Table(9))
    whole = task.metric_function()(module(task.validation.inputs), task.validation.targets)
    module.largest_batch = 0
    for batch_size in (1, 7, 100):
        # Batches have unequal numbers of tokens that count, so a mean of means would be another
        # number.
        assert evaluate_split(module, task.validation, task, batch_size, CPU) == pytest.approx(
            whole, rel=1e-12
        )
    assert module.largest_batch == 30
    with torch.no_grad():
        module.rows.weight[4, 2] = math.nan
    with pytest.raises(NotFinite, match="30 samples"):
        evaluate_split(module, task.validation, task, 7, CPU)


def test_label_smoothing_is_torch_s():
    outputs, targets = (
        torch.randn(3, 6, 9, generator=torch.Generator().manual_seed(1)),
        token_task().train.targets[:3],
    )
    expected = functional.cross_entropy(outputs.transpose(1, 2), targets, label_smoothing=0.2)
    torch.testing.assert_close(token_task().loss_function(0.2)(outputs, targets), expected)


def test_targets_that_are_no_tokens_are_refused():
    task = token_task()
    with pytest.raises(
        ValueError, match=r"has 4 tokens, numbered from 0; its train targets go from 0 to 8"
    ):
        replace(task, shapes=Shapes((6,), (6, 4)))
    with pytest.raises(ValueError, match=r"needs outputs \(length, vocabulary\)"):
        replace(task, shapes=Shapes((6,), (9,)))
    with pytest.raises(ValueError, match="no test target that counts"):
        replace(task, test=Split(task.test.inputs, torch.full_like(task.test.targets, IGNORED)))


# Who sees the next token


class Mixing(nn.Module):
    """A token's outputs from those around it; `gate` begins at zero, as residual gates do."""

    def __init__(self, mix: str, vocabulary: int = 9, width: int = 8, gate: float = 1.0) -> None:
        super().__init__()
        self.mix, self.embedding, self.head = (
            mix,
            nn.Embedding(vocabulary, width),
            nn.Linear(width, vocabulary),
        )
        self.convolution = nn.Conv1d(width, width, 3)
        self.gate = nn.Parameter(torch.tensor(gate))

    def forward(self, tokens):
        x = self.embedding(tokens)
        if self.mix in ("attention", "causal attention"):
            mixed = functional.scaled_dot_product_attention(
                x, x, x, is_causal=self.mix == "causal attention"
            )
        elif self.mix == "blocks":
            mixed = (
                x.unflatten(1, (-1, 2)).mean(2, keepdim=True).expand(-1, -1, 2, -1).flatten(1, 2)
            )
        elif self.mix == "next":
            mixed = functional.pad(x[:, 1:], (0, 0, 0, 1))
        else:
            sides = (2, 0) if self.mix == "left convolution" else (1, 1)
            mixed = self.convolution(functional.pad(x.transpose(1, 2), sides)).transpose(1, 2)
        return self.head(x + self.gate * mixed)


@pytest.mark.parametrize("gate", [1.0, 0.0])
@pytest.mark.parametrize("mix", ["attention", "convolution", "blocks", "next"])
def test_a_network_that_sees_the_next_token_is_refused(mix, gate):
    task = token_task(check=Causal(9))
    module = seeded(lambda: Mixing(mix, gate=gate))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(
        ValueError,
        match=(
            "would see the next token instead of telling it: take `objective: masked`, or a space "
            "of causal networks"
        ),
    ):
        train(module, task, Recipe(epochs=1), seed=0, device=CPU)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


@pytest.mark.parametrize("mix", ["causal attention", "left convolution"])
def test_a_causal_network_is_trained(mix):
    task = token_task(check=Causal(9))
    trained = train(
        seeded(lambda: Mixing(mix)),
        task,
        Recipe(epochs=12, batch_size=8, learning_rate=0.05),
        seed=0,
        device=CPU,
    )
    assert trained.validation > -0.5 > -math.log(9)
    unchecked = train(
        seeded(lambda: Mixing(mix)),
        token_task(),
        Recipe(epochs=12, batch_size=8, learning_rate=0.05),
        seed=0,
        device=CPU,
    )
    assert trained.curve == unchecked.curve, "the check draws from nothing that training draws from"


def test_outputs_of_another_shape_are_said_to_be_that():
    task = token_task(check=Causal(9))
    with pytest.raises(
        ValueError, match=r"gives outputs of shape \(9,\), and the task 'tokens' needs \(6, 9\)"
    ):
        train(nn.EmbeddingBag(9, 9), task, Recipe(epochs=1), seed=0, device=CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("objective", ["masked", "causal"])
def test_cuda_takes_the_same_path(tmp_path, objective, amp):
    task = load_task(
        "language_model",
        path=save_poem(tmp_path / "p.txt"),
        length=16,
        vocabulary=60,
        objective=objective,
    )
    size = task.shapes.output[1]
    trained = train(
        seeded(lambda: Mixing("causal attention", size)),
        task,
        Recipe(epochs=8, batch_size=8, amp=amp),
        seed=0,
        device=torch.device("cuda", 0),
    )
    assert trained.validation > -math.log(size)
    with pytest.raises(ValueError, match="objective: masked"):
        train(
            Mixing("attention", size).cuda(),
            replace(task, check=Causal(size)),
            Recipe(epochs=1),
            seed=0,
            device=torch.device("cuda", 0),
        )


def test_a_training_with_masks_goes_on_from_a_pause_as_if_there_were_none(tmp_path):
    task = load_task("language_model", path=save_poem(tmp_path / "p.txt"), length=16, vocabulary=60)
    size, recipe = task.shapes.output[1], Recipe(epochs=4, batch_size=16)
    whole = train(seeded(lambda: Mixing("attention", size)), task, recipe, seed=3, device=CPU)
    module = seeded(lambda: Mixing("attention", size))
    half = train(module, task, recipe, seed=3, device=CPU, until=2)
    assert train(module, task, recipe, seed=3, device=CPU, paused=half.paused).curve == whole.curve


# A space of networks of tokens, on both tasks


def classifier(choose, shapes):
    embedding = nn.Embedding(shapes.vocabulary, choose.one_of("width", (8, 24)))
    return Bag(embedding, nn.Linear(embedding.embedding_dim, shapes.output[0]))


class Bag(nn.Module):
    """The mean over all that is not padding."""

    def __init__(self, embedding: nn.Embedding, head: nn.Linear) -> None:
        super().__init__()
        self.embedding, self.head = embedding, head

    def forward(self, tokens):
        words = torch.ne(tokens, PADDING).unsqueeze(2)
        return self.head((self.embedding(tokens) * words).sum(1) / words.sum(1))


def neighbours(choose, shapes):
    """From the tokens before, or on both sides."""
    width = choose.one_of("width", (16, 32))
    return Neighbours(
        nn.Embedding(shapes.vocabulary, width),
        nn.Linear(width, shapes.output[1]),
        causal=choose.one_of("causal", (False, True)),
    )


class Neighbours(nn.Module):
    def __init__(self, embedding: nn.Embedding, head: nn.Linear, causal: bool) -> None:
        super().__init__()
        width = embedding.embedding_dim
        self.embedding, self.head, self.sides = embedding, head, (4, 0) if causal else (2, 2)
        self.mixing = nn.Conv1d(width, width, 5)

    def forward(self, tokens):
        x = functional.pad(self.embedding(tokens).transpose(1, 2), self.sides)
        return self.head(functional.gelu(self.mixing(x)).transpose(1, 2))


CLASSIFIERS, NEIGHBOURS = (
    SearchSpace("bags", classifier, Shapes((8,), (2,), vocabulary=50)),
    SearchSpace("neighbours", neighbours, Shapes((8,), (8, 9))),
)


def test_real_sentences_are_told_apart(shared_data):
    train_file, test_file = shared_data("text/sst2_train.tsv"), shared_data("text/sst2_dev.tsv")
    task = load_task("text", path=str(train_file), test=str(test_file), length=32, vocabulary=1500)
    assert len(task.train) > 6000 > len(task.test) > len(task.validation) > 600
    evaluator = TrainEvaluator(
        CLASSIFIERS, task, Recipe(epochs=3, batch_size=64, learning_rate=0.02), device="cpu"
    )
    observed = evaluator.evaluate(Architecture("bags", (("width", 24),)), seed=0)
    assert isinstance(observed, Observation)
    assert observed.score > 0.65


def test_real_text_is_told(shared_data, tmp_path):
    slice_of_it = save_poem(
        tmp_path / "slice.txt", shared_data("text/tinyshakespeare.txt").read_text()[:60_000]
    )
    recipe = Recipe(epochs=3, batch_size=16, learning_rate=0.01)
    unigram = {}
    for objective in ("masked", "causal"):
        task = load_task(
            "language_model", path=slice_of_it, objective=objective, length=32, vocabulary=128
        )
        evaluator = TrainEvaluator(NEIGHBOURS, task, recipe, device="cpu")
        observed = evaluator.evaluate(
            Architecture("neighbours", (("width", 32), ("causal", objective == "causal"))), seed=0
        )
        assert isinstance(observed, Observation)
        # Better than the tokens' frequencies, which is more than chance.
        counts = (
            torch.bincount(task.train.inputs.flatten(), minlength=task.shapes.output[1]).double()
            + 1
        )
        told = task.validation.targets[task.validation.targets != IGNORED]
        unigram[objective] = (counts / counts.sum()).log()[told].mean().item()
        assert observed.score > unigram[objective] + 0.2, objective
    with pytest.raises(ValueError, match="objective: masked"):
        TrainEvaluator(NEIGHBOURS, task, recipe, device="cpu").evaluate(
            Architecture("neighbours", (("width", 16), ("causal", False))), seed=0
        )


# Shapes in a journal


def test_shapes_are_kept_as_json_with_a_vocabulary_where_there_is_one():
    for shapes in (Shapes((1, 8, 8), (10,)), Shapes((6,), (6, 9), vocabulary=9)):
        told = json.loads(json.dumps(shapes_to_json(shapes)))
        assert shapes_from_json(told, "here") == shapes
        assert ("vocabulary" in told) == (shapes.vocabulary is not None), (
            "journals of other tasks stay as they were"
        )
        assert with_shapes(CLASSIFIERS, told, "here").shapes == shapes
    for wrong in ({"input": [1]}, [3], "x", {"input": [1], "output": [2], "vocabulary": "many"}):
        with pytest.raises(ValueError, match="here should give shapes"):
            shapes_from_json(wrong, "here")


@pytest.mark.parametrize(("content", "says"), [(" \n \n\t\n", "only blanks"), ("", "it is empty")])
def test_a_text_of_blanks_is_refused(tmp_path, content, says):
    with pytest.raises(ValueError, match=f"p.txt holds no text, {says}"):
        load_task("language_model", path=save_poem(tmp_path / "p.txt", content))


@pytest.mark.parametrize("part", ["test", "validation"])
def test_texts_that_are_trained_on_are_not_scored_on(tmp_path, part):
    path = save_texts(tmp_path / "a.tsv")
    with pytest.raises(ValueError, match=rf"path and {part} are the same, .*leave {part} out"):
        load_task("text", path=path, **{part: str(tmp_path / "." / "a.tsv")})


def test_the_share_that_is_wrong_is_named(tmp_path):
    with pytest.raises(ValueError, match="validation_share lies between 0 and 1; got 2"):
        load_task("text", path=save_texts(tmp_path / "a.tsv"), validation_share=2.0)


# An export


def run_of_one(directory, space, task, item):
    """A finished run of one trial, whose network is trained for the task; and that network."""
    settings = {
        "space": f"mine.py:{space.name}",
        "task": "digits",
        "strategy": "random",
        "finalists": {"count": 0},
    }
    config, space = (
        parse_config(settings, "here").model_dump(mode="json"),
        space.for_shapes(task.shapes),
    )
    trial = Trial(0, 0, "search", item, "random", None, canonical_key(space.graph(item)), 7)
    with create(
        directory, config, {**environment(), "shapes": shapes_to_json(task.shapes)}
    ) as journal:
        weights = weights_file(directory, 0)
        observed = TrainEvaluator(
            space, task, Recipe(epochs=2, batch_size=8), device="cpu"
        ).evaluate(item, seed=7, weights=weights)
        assert isinstance(observed, Observation)
        journal.append(
            [
                round_event(0, "search", [trial]),
                outcome_event(0, observed),
                finished_event("the budget is used"),
            ]
        )
    module = space.build(item).eval()
    load_weights(module, read_weights(weights)[0], weights)
    return module


def card_says(folder, *replacements, then=""):
    """What the code of the card in the folder prints, all its blocks one after the other, in a
    process that has not this project.
    """
    blocks = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), flags=re.DOTALL)
    code = (
        "import sys\nsys.path.insert(0, '.')\nfor name in ('nas', 'spaces', 'predictors'): "
        "sys.modules[name] = None\n" + "".join(blocks) + then
    )
    for old, new in replacements:
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    said = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    return said.stdout


@pytest.fixture
def unchecked(monkeypatch):
    """The card's own example is what is run here, so the check of every export, which takes
    seconds, is left out.
    """
    monkeypatch.setattr(exporting, "verify", lambda *_: 0.0)


def skip_without_packages_for(format_name):
    if format_name == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")


@pytest.mark.parametrize("format_name", ["module", "onnx"])
@pytest.mark.usefixtures("unchecked")
def test_what_the_card_says_reads_raw_text_in_a_process_that_has_not_this_project(
    tmp_path, format_name
):
    skip_without_packages_for(format_name)
    task = load_task("text", path=save_texts(tmp_path / "a.tsv"), length=8, vocabulary=50)
    module = run_of_one(tmp_path / "run", CLASSIFIERS, task, Architecture("bags", (("width", 8),)))
    exported = export(tmp_path / "run", out=tmp_path / "out", space=CLASSIFIERS, format=format_name)
    assert "tokenizer.json" in exported.files
    card = (tmp_path / "out" / "README.md").read_text()
    assert "text to tokens (int64) by `tokenizer.json`" in card
    assert "hidden" not in card
    texts = ["the music and the film good", "slow"]
    said = card_says(
        tmp_path / "out",
        ('["a text of yours"]', repr(texts)),
        then="import json\nprint(json.dumps(outputs.tolist()))",
    )
    with torch.no_grad():
        expected = module(encode_each(Tokenizer.from_str(task.tokenizer), texts))
    torch.testing.assert_close(torch.tensor(json.loads(said)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("format_name", ["module", "pt2", "onnx"])
@pytest.mark.parametrize("objective", ["masked", "causal"])
@pytest.mark.usefixtures("unchecked")
def test_the_card_of_a_language_model_tells_what_is_hidden_or_follows(
    tmp_path, objective, format_name
):
    skip_without_packages_for(format_name)
    task = load_task(
        "language_model",
        path=save_poem(tmp_path / "p.txt"),
        length=8,
        vocabulary=60,
        objective=objective,
    )
    module = run_of_one(
        tmp_path / "run",
        NEIGHBOURS,
        task,
        Architecture("neighbours", (("width", 16), ("causal", objective == "causal"))),
    )
    export(tmp_path / "run", out=tmp_path / "out", space=NEIGHBOURS, format=format_name)
    tokenizer, poem = Tokenizer.from_str(task.tokenizer), (tmp_path / "p.txt").read_text()
    tokenizer.no_padding()
    tokenizer.no_truncation()
    # Both are longer than the network's eight tokens, so that their ends and beginnings are taken.
    before, after = poem[:60], poem[60:120]

    def told(*windows):
        with torch.no_grad():
            return module(torch.tensor(windows))[0]

    if objective == "masked":
        left, right = tokenizer.encode(before).ids[-4:], tokenizer.encode(after).ids[:3]
        best = told([*left, MASK, *right])[4].topk(5).indices.tolist()
        expected = repr([tokenizer.decode([token]) for token in best])
        replacements = ('"the text before"', repr(before)), ('"the text after"', repr(after))
    else:
        tokens = tokenizer.encode(before[:6]).ids
        assert len(tokens) < 8, "padding comes behind it"
        for _ in range(20):
            window = tokens[-8:]
            tokens.append(
                int(told([*window, *[PADDING] * (8 - len(window))])[len(window) - 1].argmax())
            )
        expected = tokenizer.decode(tokens)
        replacements = [('"the text so far"', repr(before[:6]))]
    assert card_says(tmp_path / "out", *replacements).removesuffix("\n") == expected


def test_an_objective_that_is_none_is_a_sentence():
    assert objective_of({}) is None
    with pytest.raises(
        ValueError, match="a weights file's `objective` is masked or causal; got 'both'"
    ):
        objective_of({"objective": "both"})


def test_a_tokenizer_that_is_none_is_a_sentence():
    assert tokenizer_of({}) is None
    for wrong in ("import os", "[1]", '{"other": 1}'):
        with pytest.raises(
            ValueError, match="a weights file's `tokenizer` is the JSON of a tokenizer"
        ):
            tokenizer_of({"tokenizer": wrong})


def test_a_mean_of_a_user_s_own_is_taken_in_batches_too():
    def within_one(outputs, targets):
        near = ((outputs.argmax(2) - targets).abs() <= 1) & (targets != IGNORED)
        return near.double().sum(), (targets != IGNORED).double().sum()

    task, module = token_task(Mean(within_one)), seeded(lambda: Table(9))
    assert evaluate_split(module, task.validation, task, 4, CPU) == Mean(within_one)(
        module(task.validation.inputs), task.validation.targets
    )
