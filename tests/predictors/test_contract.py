"""Every built-in predictor passes the checks of the contract."""

import pytest

from predictors import PREDICTORS, load_predictor, predictor
from predictors.prior.attached import FittedReading, Reader, Reading
from spaces import Graph, GraphBuilder
from tests.contracts.predictor_contract import CHECKS

SMALL = {
    "gnn": {"members": 2, "width": 16, "layers": 2, "steps": 40},
    "trees": {"members": 2, "rounds": 15},
    "extra_trees": {"members": 2, "trees": 15},
    "ridge": {},
    "gp": {},
    "boshnas": {"members": 2, "steps": 100, "samples": 8},
    "auto": {"members": ("gp", "trees", "ridge")},
    "quick": {},
    "whole": {},
}


def network(cell: Graph) -> Graph:
    """The cells of the contract, as networks on small images."""
    builder = GraphBuilder()
    values = [builder.input((8, 6, 6))]
    for item, sources in zip(cell.nodes[1:-1], cell.incoming[1:-1], strict=True):
        arriving = [values[source] for source in sources]
        value = arriving[0] if len(arriving) == 1 else builder.node("add", *arriving)
        kernel_size = item.get("kernel_size", 1)
        if item.op in ("conv", "dense"):
            value = builder.node(
                "conv2d",
                value,
                out_channels=8,
                kernel_size=kernel_size,
                padding=kernel_size // 2,
                bias=item["bias"],
                groups=1 if item.op == "conv" else 8,
            )
        elif item.op == "pool":
            value = builder.node("avg_pool2d", value, kernel_size=3, stride=1, padding=1)
        values.append(value)
    last = cell.incoming[-1]
    return builder.output(values[last[0]] if last else builder.node("zero", values[0]))


READER = Reader("contract", network, None)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(PREDICTORS))
def test_contract(name, check, tmp_path):
    made = predictor(name, **SMALL[name])
    if name != "whole":
        check(made, load_predictor, tmp_path)
        return
    check(
        Reading(made, READER),
        lambda directory: FittedReading(load_predictor(directory), READER),
        tmp_path,
    )


def test_every_predictor_is_tested():
    assert set(SMALL) == set(PREDICTORS)
