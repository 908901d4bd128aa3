"""Figures show what was simulated: the lines are read back and compared."""

import re
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from safeguards.allocation import FlowStrategy, experiment_setting, simulate
from safeguards.allocation.plots import plot_capacities, plot_deviations, plot_loads, save_png, svg
from safeguards.exceptions import ConfigurationError, MissingExtraError, SafeguardsError


@pytest.fixture(scope="module")
def result():
    return simulate(experiment_setting(3), FlowStrategy(), trials=5, seed=2)


def drawn(figure):
    return {line.get_gid(): np.asarray(line.get_ydata()) for line in figure.axes[0].lines}


def test_lines_are_mean_loads_and_capacities(result):
    lines = drawn(plot_loads(result, resources=[2, 0]))
    assert set(lines) == {"load-1", "capacity-1", "load-3", "capacity-3"}
    for number in (1, 3):
        np.testing.assert_array_equal(lines[f"load-{number}"], result.loads[:, :, number - 1].mean(axis=0))
        np.testing.assert_array_equal(lines[f"capacity-{number}"], result.capacities[:, number - 1])


def test_the_band_holds_the_middle_of_the_trials(result):
    (band, _, _) = plot_loads(result).axes[0].collections
    heights = band.get_paths()[0].vertices[:, 1]
    low, high = np.percentile(result.loads[:, :, 0], (10, 90), axis=0)
    assert heights.min() == low.min()
    assert heights.max() == high.max()


def test_one_trial_has_no_band_and_one_resource_is_enough():
    alone = simulate(np.full((30, 1), 7.0), FlowStrategy(), n_agents=7, trials=1)
    figure = plot_loads(alone)
    assert not figure.axes[0].collections
    assert (drawn(figure)["load-1"] == 7).all()


def test_capacities_of_two_readings():
    readings = {"corrected": experiment_setting(2), "as printed": experiment_setting(2, as_printed=True)}
    lines = drawn(plot_capacities(readings))
    assert lines["as printed-3"][399:401].tolist() == [0.0, 398.5]
    np.testing.assert_array_equal(lines["corrected-2"], readings["corrected"][:, 1])


def test_deviations():
    figure = plot_deviations("f", [2, 3], {"0.01": [1.0, 2.0], "0.02": [3.0, 4.0]}, logarithmic="y")
    assert {name: line.tolist() for name, line in drawn(figure).items()} == {
        "0.01": [1.0, 2.0],
        "0.02": [3.0, 4.0],
    }
    assert figure.axes[0].get_yscale() == "log"
    assert figure.axes[0].get_xscale() == "linear"
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["0.01", "0.02"]


def test_bad_input_is_refused_by_name(result):
    for resources in ([], [3], [-1]):
        with pytest.raises(ConfigurationError, match="resources must be some of 0 to 2"):
            plot_loads(result, resources=resources)
    with pytest.raises(ConfigurationError, match=r"lines\['a'\] must have 2 points, not \(3,\)"):
        plot_deviations("f", [2, 3], {"a": [1, 2, 3]})


def test_a_figure_in_a_page_takes_the_colour_of_the_page_and_keeps_its_ids_apart(result):
    text = svg(plot_loads(result), prefix="figure-1")
    assert text == svg(plot_loads(result), prefix="figure-1")
    root = ET.fromstring(text)  # noqa: S314 - our own text
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert all(name.startswith("figure-1-") for name in ids)
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)
    assert "currentColor" in text
    assert "Load of resource 1" in text
    assert "#1f2328" not in text


def test_png(result, tmp_path):
    save_png(plot_loads(result), tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_without_matplotlib_an_error_names_the_extra(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'budget-safeguards\[plot\]'") as caught:
        plot_loads(result)
    assert (caught.value.extra, caught.value.module) == ("plot", "matplotlib")
    assert isinstance(caught.value, SafeguardsError)
    assert isinstance(caught.value, ImportError)
