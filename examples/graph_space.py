"""A search space whose program returns a graph: every layer chooses which earlier layers it reads.

    python examples/graph_space.py            # shows one architecture, and checks some more
    nas space check examples/graph_space.py:space --input 1,8,8 --classes 10
    nas search configs/smoke.yaml -s space=examples/graph_space.py:space

Return a graph if the wiring itself is searched, or if many thousands have to be drawn a second. For
everything else an ordinary PyTorch function is shorter (see torch_space.py).
"""

from random import Random

from spaces import Chooser, Graph, GraphBuilder, SearchSpace, Shapes
from spaces.check import check, report_text
from spaces.operators import sample_graph


def define(choose: Chooser, shapes: Shapes) -> Graph:
    """The network. `choose` answers questions; `shapes` are those of the data."""
    builder = GraphBuilder()
    width = choose.one_of("width", (8, 16, 32))
    # A value is the number of the node that computes it. The operations and their attributes have
    # torch's names (see spaces/ops).
    values = [conv(builder, builder.input(shapes.input), width, kernel_size=3)]
    large = 0
    for number in range(choose.integer("layers", 2, 5)):
        with choose.scope(f"layer{number}"):
            # Which of the layers so far are read? At least one. The name of the question, with the
            # scope, is layer0/reads; each name may be asked once. An architecture stores the labels
            # of the options.
            sources = choose.subset("reads", range(len(values)), minimum=1)
            joined = values[sources[0]]
            if len(sources) > 1:
                # The order of the inputs matters in a concatenation, not in a sum.
                joined = builder.node("cat", *(values[source] for source in sources), ordered=True)
            if choose.one_of("pool", (False, True)):
                joined = builder.node("max_pool2d", joined, kernel_size=3, stride=1, padding=1)
            kernel_size = choose.one_of("kernel", (1, 3, 5))
            values.append(conv(builder, joined, width, kernel_size=kernel_size))
            large += kernel_size == 5
    if large > 2:
        # Another architecture is drawn instead.
        choose.reject("more than two kernels of 5 are too slow")
    pooled = builder.node("flatten", builder.node("adaptive_avg_pool2d", values[-1], output_size=1))
    return builder.output(builder.node("linear", pooled, out_features=shapes.output[0]))


def conv(builder: GraphBuilder, value: int, width: int, *, kernel_size: int) -> int:
    value = builder.node(
        "conv2d",
        value,
        out_channels=width,
        kernel_size=kernel_size,
        padding=kernel_size // 2,
        bias=False,
    )
    return builder.node("relu", builder.node("batch_norm2d", value))


space = SearchSpace("graph_example", define)

if __name__ == "__main__":
    small = space.for_shapes(Shapes(input=(1, 8, 8), output=(10,)))
    architecture, graph = sample_graph(small, Random(0))
    print(architecture)
    for node, sources in zip(graph.nodes, graph.incoming, strict=True):
        print("  ", node, *(f"<- {graph.nodes[source].op}" for source in sources))
    print(report_text(check(small, count=5, size_seconds=1.0)))
