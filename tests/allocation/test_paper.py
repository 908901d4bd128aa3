"""`python -m paper`: the plan is the paper's, and the page says what was measured."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from paper import __main__ as program
from paper import evaluation, sections
from paper.sections import report_page
from safeguards.allocation import (
    PUBLISHED_DEVIATIONS,
    AdaptiveStrategy,
    FlowStrategy,
    GalstyanStrategy,
    experiment_setting,
    simulate,
)
from safeguards.cli._app import app
from safeguards.exceptions import ConfigurationError

TRIALS, SEED = 2, 3


@pytest.fixture(scope="module")
def plan():
    return evaluation.plan(trials=TRIALS, seed=SEED, largest=1000)


@pytest.fixture(scope="module")
def seen():
    return []


@pytest.fixture(scope="module")
def measured(plan, seen):
    return evaluation.run(plan, progress=lambda *report: seen.append(report))


@pytest.fixture(scope="module")
def page(measured):
    return report_page(measured, trials=TRIALS, seed=SEED, version="0")


class Tables(HTMLParser):
    """Rows of every table by its id."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.ids, self.tags, self.table, self.cell = {}, [], [], None, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "table":
            self.table = self.rows.setdefault(attributes.get("id"), [])
        elif tag == "tr":
            self.table.append([])
        elif tag in ("td", "th"):
            self.cell = ""

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.table[-1].append(self.cell)
            self.cell = None


@pytest.fixture(scope="module")
def parsed(page):
    return Tables(page)


def test_the_plan_is_the_papers(plan):
    assert {key for key in plan if key[0] == "table 1"} == {
        ("table 1", n, name) for n in (1, 2, 3) for name in ("adaptive", "lam-leung", "galstyan")
    }
    assert plan["table 1", 2, "adaptive"].strategy == AdaptiveStrategy(0.02, 6.0)
    rates = {key[2] for key in plan if key[0] == "sweep"}
    factors = {key[3] for key in plan if key[0] == "sweep"}
    assert rates == {0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1}
    assert factors == {2, 3, 4, 5, 6, 7, 8, 9, 10}
    assert len(plan["as printed", 3, "adaptive"].capacities[0]) == 1050
    assert max(key[1] for key in evaluation.plan() if key[0] == "agents") == 1_000_000


def test_measured_is_what_simulate_gives(measured):
    for key, strategy in (
        (("table 1", 1, "adaptive"), AdaptiveStrategy.for_setting(1)),
        (("table 1", 3, "galstyan"), GalstyanStrategy()),
        (("beyond", 2, "flow"), FlowStrategy()),
        (("variant", 2, "roulette", "agent"), AdaptiveStrategy(0.02, 6, "roulette", "agent")),
        (("sweep", 3, 0.05, 7.0), AdaptiveStrategy(0.05, 7)),
    ):
        expected = simulate(experiment_setting(key[1]), strategy, trials=TRIALS, seed=SEED)
        assert measured[key].average_deviation == pytest.approx(expected.average_deviation, rel=1e-12)
        assert measured[key].settled_deviation == expected.after(20).average_deviation
        assert measured[key].trials == TRIALS
    of_mean = ((expected.loads.mean(axis=0) - expected.capacities) ** 2).mean()
    assert measured[key].deviation_of_mean_load == pytest.approx(of_mean)


def test_conditions_are_the_options_of_simulate(measured):
    for option, value in (("observation_noise", 0.05), ("careless_fraction", 0.2), ("task_steps", 5)):
        expected = simulate(
            experiment_setting(1), FlowStrategy(), trials=TRIALS, seed=SEED, **{option: value}
        )
        found = measured["condition", option, value, "flow"]
        assert found.settled_deviation == expected.after(20).average_deviation


def test_settings_that_are_drawn_share_the_trials(measured):
    assert measured["beyond", "random walk", "flow"].trials == 10
    assert measured["resources", 32, "flow"].trials == 10


def test_progress_goes_from_nothing_to_all(measured, seen):
    done = [report[0] for report in seen]
    assert done[0] == 0
    assert done == sorted(done)
    assert {report[1] for report in seen} == {done[-1]}
    assert {report[2][0] for report in seen[:-1]} == {key[0] for key in measured}


def test_progress_over_several_capacities_goes_on_and_does_not_begin_anew():
    seen = []
    simulation = evaluation.Simulation(
        tuple(experiment_setting(1, total=20_000.0) for _ in range(3)),
        FlowStrategy(),
        {"trials": 60, "n_agents": 20_000},
    )
    simulation.run(1, lambda done, in_all: seen.append((done, in_all)))
    assert len(seen) > 3, "it runs for longer than it takes to report"
    assert seen == sorted(seen)
    assert {in_all for _, in_all in seen} == {3 * 20 * 1000}


def test_table_1_holds_published_and_measured(parsed, measured):
    rows = parsed.rows["table-1"]
    assert rows[0][:4] == ["Setting", "Strategy", "Published", "Measured"]
    assert len(rows) == 10
    for setting, name, published, found, spread, settled in rows[1:]:
        expected = measured["table 1", int(setting), name]
        assert published == f"{PUBLISHED_DEVIATIONS[int(setting)][name]:,.2f}"
        assert found == f"{expected.average_deviation:,.2f}"
        assert spread == f"{expected.standard_deviation:,.2f}"
        assert settled == f"{expected.settled_deviation:,.2f}"


def test_all_ten_figures_are_in_the_page(parsed, page):
    figures = [attributes.get("id") for tag, attributes in parsed.tags if tag == "figure"]
    assert figures[:11] == [f"figure-{n}" for n in range(1, 10)] + ["figure-10a", "figure-10b"]
    assert page.count("<svg") == len(figures) == 11 + 2 + 6 + 2 + 1
    for number in range(1, 10):
        assert {
            f"figure-{number}-{line}" for line in ("load-1", "load-2", "capacity-1", "capacity-2")
        } <= set(parsed.ids)
    assert {f"figure-10a-f = {f}" for f in (2, 3, 4, 5, 10)} <= set(parsed.ids)
    assert {f"figure-10b-rate {n / 100:g}" for n in range(1, 11)} <= set(parsed.ids)


def test_the_page_stands_alone(parsed, page):
    assert len(parsed.ids) == len(set(parsed.ids))
    links = [attributes["href"] for tag, attributes in parsed.tags if tag == "a"]
    assert len(links) >= 10
    assert {link.removeprefix("#") for link in links} <= set(parsed.ids)
    loaded = [a for _, a in parsed.tags if "src" in a or a.get("rel") == "stylesheet"]
    assert not loaded
    assert not re.findall(r"url\((?!#)", page)
    assert "prefers-color-scheme: dark" in page
    assert {tag for tag, _ in parsed.tags}.isdisjoint({"script", "link", "img"})


def test_every_section_has_its_table(parsed, measured):
    expected = {
        "1": 9,
        "sweep-1": 10,
        "sweep-2": 10,
        "sweep-3": 10,
        "misprints": 6,
        "variants": 5,
        "averaging": 9,
        "beyond": 7,
        "beyond-whole": 7,
        "observation-noise": 5,
        "careless-fraction": 4,
        "task-units": 4,
        "task-steps": 4,
        "agents": 2,
        "resources": 6,
    }
    assert {name.removeprefix("table-"): len(rows) - 1 for name, rows in parsed.rows.items()} == expected
    least = min(measured["sweep", 3, r, f].average_deviation for _, _, r, f in measured_sweep(measured, 3))
    (best,) = [cell for row in parsed.rows["table-sweep-3"] for cell in row if cell.endswith(" *")]
    assert float(best.rstrip(" *")) == pytest.approx(least, rel=0.006)


def measured_sweep(measured, setting):
    return [key for key in measured if key[:2] == ("sweep", setting)]


def test_the_reading_that_comes_nearest_stands_beside_table_1(page, measured):
    def off(variant):
        return max(
            abs(measured["variant", n, *variant].average_deviation / PUBLISHED_DEVIATIONS[n]["adaptive"] - 1)
            for n in (1, 2, 3)
        )

    assert min(evaluation.VARIANTS, key=off) == ("roulette", "agent")
    section = page[page.index('<section id="table-1') : page.index('<section id="figures-1')]
    found = section[section.index("Which reading comes nearest") :]
    assert "one attitude for all resources that draw in proportion" in found
    assert f"within {off(('roulette', 'agent')):.0%} of what is published in all three settings" in found
    assert 'id="other-readings"' in page


def test_on_a_phone_the_title_stands_before_the_contents(page):
    assert page.index("<h1>") < page.index("<nav") < page.index("<main>")


def test_the_program_writes_one_file(monkeypatch, tmp_path, measured, capsys):
    monkeypatch.setattr(evaluation, "run", lambda plan, **_: {key: measured[key] for key in plan})
    options = {"trials": TRIALS, "seed": SEED, "agents": 1000}
    program.command(out=tmp_path / "dir", **options)
    written = tmp_path / "dir" / "safeguards-paper.html"
    assert capsys.readouterr().out == f"wrote {written}\n"
    text = written.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "python -m paper --trials 2 --seed 3 --agents 1000" in text
    monkeypatch.setattr(sections, "report_page", lambda *_, **__: "a page")
    program.command(out=tmp_path / "x.html", **options)
    assert (tmp_path / "x.html").read_text(encoding="utf-8") == "a page"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "--trials must be from 1"),
        ({"seed": -1}, "--seed must be from 0"),
        ({"threads": 0}, "--threads must be from 1"),
        ({"agents": 10}, "--agents must be from 1,000 to 1,000,000, not 10"),
        ({"out": "/dev/null/x"}, "--out: cannot write /dev/null/x"),
    ],
)
def test_wrong_input_is_refused_before_any_work(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=message):
        program.command(**{key: Path(v) if key == "out" else v for key, v in options.items()})
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def printed():
    from typer.testing import CliRunner

    def run(*options):
        done = CliRunner().invoke(app, ["paper", "--trials", "2", "--seed", "3", *options])
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def test_the_command_measures_table_1_and_every_reading(printed, measured):
    found = json.loads(printed("--json"))
    assert len(found["rows"]) == 3 * 6
    for row in found["rows"]:
        strategy = row["strategy"].partition(",")[0]
        assert row["published"] == PUBLISHED_DEVIATIONS[row["setting"]][strategy]
        if row["strategy"] == strategy:
            expected = measured["table 1", row["setting"], strategy].average_deviation
            assert row["measured"] == pytest.approx(expected, rel=1e-12)
    nearest = [r for r in found["rows"] if r["strategy"] == "adaptive, roulette, one attitude an agent"]
    for row in nearest:
        expected = measured["variant", row["setting"], "roulette", "agent"].average_deviation
        assert row["measured"] == pytest.approx(expected, rel=1e-12)
    worst = max(abs(row["measured"] / row["published"] - 1) for row in nearest)
    assert f"adaptive, roulette, one attitude an agent, within {worst:.0%} in all" in found["verdict"]
    assert found["verdict"] in " ".join(printed().split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trials", "0"], "--trials must be from 1"),
        (["--seed", "-1"], "--seed must be from 0"),
        (["--threads", "0"], "--threads must be from 1"),
    ],
)
def test_wrong_options_are_named(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        app(["paper", *arguments], standalone_mode=False)
