import numpy as np
import pandas as pd
from test_figures import style, texts  # noqa: F401 - a fixture for every test

from dha_utils import figures
from dha_utils.networks.soundnet import SoundNet
from dha_utils.pruning.compensation import COMPENSATIONS
from dha_utils.pruning.compressor import PSNET_SIZE
from dha_utils.pruning.cost import count_macs
from dha_utils.studies.trials import SMALL


def rows(criterion, size, macs, accuracy, seed=0, compensation="refitted"):
    change = accuracy - 0.9
    return {
        "criterion": criterion, "size": size, "compensation": compensation, "seed": seed, "epochs": 0, "macs": macs,
        "accuracy": accuracy, "change": change, "low": change - 0.02, "high": change + 0.02,
    }  # fmt: skip


TRIALS = pd.DataFrame(
    [
        rows("l1", "0.5", 0.5, 0.88),
        rows("l1", "0.2", 0.2, 0.8),
        *(
            rows("random", size, float(size), 0.7 + 0.05 * seed, seed)
            for size in ("0.5", "0.2")
            for seed in (0, 1)
        ),
    ]
)


def labels(axis):
    return axis.get_legend_handles_labels()[1]


def test_layer_costs_sum_to_one():
    (axis,) = figures.layer_costs(count_macs(SoundNet(), 110_250)).axes
    heights = [bar.get_height() for bar in axis.patches]
    np.testing.assert_allclose([sum(heights[:7]), sum(heights[7:])], 1)


def test_compensations_draw_every_selection_and_the_random_range():
    trials = TRIALS.replace({"size": {"0.5": PSNET_SIZE, "0.2": SMALL}})
    figure = figures.compensations(trials, 0.9)
    first, second = figure.axes
    assert [axis.get_title() for axis in figure.axes] == [
        "p-Snet's numbers of maps",
        "35% of the computation",
    ]
    assert "norm of the filter (L1)" in labels(first)
    assert "full\nnetwork" in texts(figure)
    band = first.patches[list(COMPENSATIONS).index("refitted")]
    assert (band.get_y(), band.get_y() + band.get_height()) == (0.7, 0.75)
    assert second.containers[-1].lines[0].get_ydata()[list(COMPENSATIONS).index("refitted")] == 0.8


def test_frontier_runs_from_small_to_large_and_marks_points():
    published = pd.Series({"macs": 0.8, "accuracy": 0.85})
    figure = figures.frontier(TRIALS, "macs", 0.9, published)
    assert {"full\nnetwork", "3 points\nless"} <= texts(figure)
    (axis,) = figure.axes
    marked = {"p-Snet's filters, as published", "DHA: 18 % less computation"}
    assert {*marked, "norm of the filter (L1), refitted"} <= set(labels(axis))
    curve = next(line for line in axis.lines if len(line.get_xdata()) == 2 and line.get_marker() == "v")
    assert curve.get_xdata().tolist() == [0.2, 0.5]
    assert curve.get_ydata().tolist() == [0.8, 0.88]


def test_speeds():
    times = pd.DataFrame({"macs": [0.5, 0.1], "time": [0.6, 0.2]})
    figure = figures.speeds(times)
    assert "wall-clock" in texts(figure)
    (axis,) = figure.axes
    assert axis.lines[-1].get_ydata().tolist() == [0.6, 0.2]


def test_ways_to_choose_have_a_row_each_and_random_ones_a_line_for_each_size():
    table = pd.DataFrame(
        {"criterion": ["lasso", "anova", "random"], "needs": ["data", "labels", "nothing"]}
        | {"60 %": [0.9, 0.8, 0.7], "35 %": [0.6, 0.5, 0.4]}
    )
    (axis,) = figures.equal_cost(table, 0.95).axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["LASSO (data)", "ANOVA (labels)"]
    at = {line.get_label(): list(line.get_xdata()) for line in axis.lines if line.get_ls() == "None"}
    assert at == {"60 % of the multiplications": [0.9, 0.8], "35 % of the multiplications": [0.6, 0.5]}
    assert [line.get_xdata()[0] for line in axis.lines if line.get_ls() == ":"] == [0.7, 0.4]
