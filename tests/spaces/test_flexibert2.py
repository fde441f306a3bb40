"""The graphs of FlexiBERT 2.0 are the paper's, and the rows are the measured transformers."""

from __future__ import annotations

import gzip
import json
from math import comb
from pathlib import Path
from random import Random

import numpy
import pytest

from benchmarks.edgetran_table import MEASURES, by_device, read_edgetran
from nas.evaluators.evaluator import Failed, Observation
from nas.evaluators.table import table_evaluator
from spaces.canonical import canonical_key
from spaces.cardinality import size
from spaces.choices import Architecture
from spaces.flexibert.description import Layer, describe
from spaces.flexibert.design import OPERATIONS
from spaces.flexibert.edgetran import DESIGN, on_devices, rows, space
from spaces.operators import enumerate_all, fix, sample

STACKS = 6 + 6**2 + 6**3
DEVICES = {"a100": 239, "cpu_m1_pro": 104, "cpu_jetson_nano": 223}


def test_the_size_is_a_power_of_each_depth():
    """The size is counted at one depth, since all of them take a minute."""
    layer = sum(7**heads for heads in DESIGN.heads) * len(DESIGN.hidden) * STACKS
    assert size(fix(space, {"layers": 2})) == layer**2


def test_heads_have_no_order():
    """Graphs of four heads are multisets of four operations; so are those of the paper's count."""
    held = {"layers": 2}
    for layer in ("layer_0", "layer_1"):
        held |= {f"{layer}/hidden": 128, f"{layer}/stacks": 1, f"{layer}/feed_forward_0": 256}
    held |= {"layer_0/heads": 4, "layer_1/heads": 2}
    held |= {"layer_1/head_0": "c_5", "layer_1/head_1": "c_9"}
    items = list(enumerate_all(fix(space, held)))
    assert len(items) == 7**4
    assert len({canonical_key(space.graph(item)) for item in items}) == comb(4 + 6, 6)
    layer = sum(comb(heads + 6, 6) for heads in DESIGN.heads) * len(DESIGN.hidden) * STACKS
    assert sum(layer**count for count in DESIGN.layers) == pytest.approx(1.7e88, rel=0.01)


def test_a_layer_is_heads_norm_feed_forward_norm():
    described = describe(
        (Layer(512, ("sa_wma", "c_13"), (256, 3072)), Layer(128, ("l_dct",) * 12, (1024,))),
        mixed=True,
    )
    first = [str(node) for node in described.nodes[1:7]]
    assert first == [
        "self_attention(head_size=256, hidden=512, similarity=wma)",
        "span_convolution(head_size=256, hidden=512, kernel_size=13)",
        "add_norm",
        "feed_forward(features=256, in_features=512)",
        "feed_forward(features=3072, in_features=256)",
        "add_norm",
    ]
    incoming = [described.incoming[number] for number in range(1, 8)]
    assert incoming == [(0,), (0,), (0, 1, 2), (3,), (4,), (3, 5), (6,)]
    assert str(described.nodes[7]) == "linear_transform(head_size=10, hidden=128, transform=dct)"
    assert described.incoming[-1] == (len(described.nodes) - 2,)


def test_the_number_of_nodes_is_the_papers():
    random = Random(0)
    for item in [sample(space, random) for _ in range(30)]:
        counts = [
            answer
            for path, answer in item.decisions
            if path.endswith(("/heads", "/stacks")) and isinstance(answer, int)
        ]
        layers = item.answers["layers"]
        assert isinstance(layers, int)
        assert len(counts) == 2 * layers
        assert len(space.graph(item).nodes) == 2 + sum(counts) + 2 * layers


def test_rows_are_the_measured_transformers(shared_data, tmp_path):
    path = shared_data("edgetran_hardware.json.gz")
    columns = read_edgetran(path)
    items = rows(columns)
    assert len({canonical_key(space.graph(item)) for item in items}) == len(items) == 534
    assert {
        device: int(numpy.isfinite(columns[f"energy_{device}"]).sum()) for device in DEVICES
    } == DEVICES
    numpy.savez(tmp_path / "edgetran.npz", **columns)  # pyright: ignore[reportArgumentType]
    with gzip.open(path, "rt") as file:
        measured = json.load(file)
    for device in DEVICES:
        table = table_evaluator(
            space,
            tmp_path / "edgetran.npz",
            score=f"latency_{device}",
            metrics={"watts": f"peak_power_{device}"},
        )
        own = [item for item in measured if item["device"].replace("-", "_") == device]
        assert len(own) == DEVICES[device]
        for item in own[::20]:
            found = table.evaluate(_decided(item["model"]), seed=0)
            assert isinstance(found, Observation)
            assert found.score == item["latency"]
            assert dict(found.metrics) == {"watts": item["peak_power"]}


def test_heads_in_another_order_have_the_same_row(shared_data, tmp_path):
    columns = read_edgetran(shared_data("edgetran_hardware.json.gz"))
    numpy.savez(tmp_path / "edgetran.npz", **columns)  # pyright: ignore[reportArgumentType]
    table = table_evaluator(space, tmp_path / "edgetran.npz", score="latency_a100")
    turned = columns["operations"].copy()
    heads = int((turned[0, 0] >= 0).sum())
    turned[0, 0, :heads] = turned[0, 0, :heads][::-1]
    other = rows({**columns, "operations": turned})[0]
    assert other != rows(columns)[0]
    found = table.evaluate(other, seed=0)
    assert isinstance(found, Observation)
    assert found.score == columns["latency_a100"][0]
    assert isinstance(table.evaluate(sample(space, Random(1)), seed=0), Failed)


def test_joint_rows_are_the_measurements(shared_data, tmp_path):
    path = shared_data("edgetran_hardware.json.gz")
    columns = by_device(read_edgetran(path))
    numpy.savez(tmp_path / "joint.npz", **columns)  # pyright: ignore[reportArgumentType]
    assert on_devices.rows is not None
    items = on_devices.rows(columns)
    assert len({canonical_key(on_devices.graph(item)) for item in items}) == len(items) == 566
    table = table_evaluator(
        on_devices,
        tmp_path / "joint.npz",
        score="frugality",
        metrics={name: name for name in MEASURES},
    )
    with gzip.open(path, "rt") as file:
        measured = json.load(file)
    for item in measured[::25]:
        device = item["device"].replace("-", "_")
        decisions = (("device", device), *_decided(item["model"]).decisions)
        found = table.evaluate(Architecture("flexibert2_on_devices", decisions), seed=0)
        assert isinstance(found, Observation)
        assert dict(found.metrics) == {name: item[name] for name in MEASURES}
        expected = (
            1
            - 0.4 * item["latency"] / 1000
            - 0.4 * item["energy"] / 2000
            - 0.2 * item["peak_power"] / 300
        )
        assert found.score == pytest.approx(expected)


MODEL = {
    "l": 2,
    "o": [["sa_sdp_64", "c_5_64"], ["l_dft_10"] * 12],
    "h": [128, 128],
    "f": [[256], [512, 4096]],
}


def test_a_transformer_of_a_file_is_read(tmp_path):
    other = {**MODEL, "f": [[256], [512]]}
    measured = [(MODEL, "cpu_jetson-nano"), (MODEL, "a100"), (other, "a100")]
    columns = read_edgetran(_file(tmp_path, measured))
    assert columns["latency_cpu_jetson_nano"].tolist()[:1] == [1.5]
    assert numpy.isnan(columns["latency_cpu_jetson_nano"][1])
    assert rows(columns)[0] == _decided(MODEL)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([MODEL, MODEL], "was measured twice on a100"),
        ([{**MODEL, "l": 4}], "has 4 layers, and its lists have {'o': 2, 'h': 2, 'f': 2}"),
        ([{**MODEL, "h": [128, 256]}], r"in layer 1 the heads .* each should be 256 // 12 wide"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(models, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_edgetran(_file(tmp_path, [(model, "a100") for model in models]))


def _file(folder: Path, measured: list[tuple[dict, str]]) -> Path:
    items = [
        {"model": model, "device": device, "latency": 1.5, "energy": 2.0, "peak_power": 3.0}
        for model, device in measured
    ]
    path = folder / "measured.json.gz"
    path.write_bytes(gzip.compress(json.dumps(items).encode()))
    return path


def _decided(model: dict) -> Architecture:
    """The architecture of the authors' dictionary, read independently of the code under test."""
    decisions: list[tuple[str, str | int]] = [("layers", model["l"])]
    layers = zip(model["o"], model["h"], model["f"], strict=True)
    for number, (heads, hidden, sizes) in enumerate(layers):
        decisions += [(f"layer_{number}/hidden", hidden), (f"layer_{number}/heads", len(heads))]
        decisions += [
            (f"layer_{number}/head_{place}", "_".join(head.split("_")[:2]))
            for place, head in enumerate(heads)
        ]
        decisions += [
            (f"layer_{number}/stacks", len(sizes)),
            *((f"layer_{number}/feed_forward_{place}", item) for place, item in enumerate(sizes)),
        ]
    assert all(answer in OPERATIONS for path, answer in decisions if "/head_" in path)
    return Architecture("flexibert2", tuple(decisions))
