"""What people bring, and what the one reader makes of it."""

import csv
import gzip
import io
import json
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeguards import ConfigurationError, TraceError
from safeguards.records import PRESETS, Demand, Price, Trace, read
from safeguards.records._presets import presets

HEAD = "time,agent,cost\n"
NOON = 1_772_452_800  # 2026-03-02 12:00 in UTC


@pytest.fixture
def write(tmp_path):
    def write(text, name="calls.csv"):
        path = tmp_path / name
        data = text if isinstance(text, bytes) else text.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def table(rows, head=("time", "agent", "cost"), delimiter=","):
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerow(head)
    writer.writerows(rows)
    return file.getvalue()


class TestTimes:
    @pytest.mark.parametrize(
        "text",
        [
            "2026-03-02T12:00:00Z",
            "2026-03-02 12:00:00",
            "2026-03-02T12:00:00.000000+00:00",
            "2026-03-02 13:00:00+01:00",
            "2026-03-02T07:00:00-0500",
            "2026-03-02 12:00:00.000 UTC",
            "20260302T120000Z",
            f"{NOON}",
            f"{NOON}.0",
            f"{NOON}000",
            f"{NOON}000000",
            f"{NOON}000000000",
            f"{NOON / 1e9}e9",
            " 2026-03-02T12:00Z ",
        ],
    )
    def test_one_instant_in_many_forms(self, write, text):
        (call,) = read(write(HEAD + f"{text},a,1\n")).calls
        assert call.micros == NOON * 10**6

    def test_naive_times_are_in_the_zone_that_is_named(self, write):
        path = write(HEAD + "2026-07-01T12:00:00,a,1\n2026-07-01T12:00:00+00:00,b,1\n")
        calls = {call.agent: call.micros for call in read(path, timezone="Europe/Berlin")}
        assert calls["b"] - calls["a"] == 2 * 3600 * 10**6

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("03/02/2026 12:00", "time must be a time, as 2026-03-02T15:04:05Z or seconds since 1970"),
            ("yesterday", "not 'yesterday'"),
            ("-5", "not -5"),
            ("", "time is empty"),
            ("nan", "time is empty"),
            ("1e30", "of the years 1 to 9999"),
            ("0001-01-01T00:00:00+14:00", None),
        ],
    )
    def test_what_is_no_time(self, write, text, message):
        path = write(HEAD + f"{text},a,1\n")
        if message is None:
            assert len(read(path)) == 1
            return
        with pytest.raises(TraceError, match="line 2") as caught:
            read(path)
        assert message in str(caught.value)

    def test_a_number_among_dates_is_a_mistake(self, write):
        path = write(HEAD + f"2026-03-02,a,1\n{NOON},a,1\n")
        with pytest.raises(TraceError, match="line 3: time is a number of s, and a date above"):
            read(path)
        path = write(HEAD + f"{NOON},a,1\n{NOON}000,a,1\n")
        with pytest.raises(TraceError, match="line 3: time is a number of ms, and a number of s above"):
            read(path)

    def test_hours_and_clocks_without_a_date(self, write):
        demand = Demand.read(write("hour,agent,cost\n7,a,1\n9,a,2\n"))
        assert (demand.hours, demand.start) == (3, None)
        demand = Demand.read(write("t_s,agent,cost\n7200,a,1\n0.5,a,2\n"))
        assert (demand.cost.tolist(), demand.start) == ([[2, 0, 1]], None)

    def test_a_date_without_a_time_is_a_day(self, write):
        records = read(write("date,agent,cost\n2026-03-02,a,24\n2026-03-03,a,48\n"))
        demand = records.demand()
        assert (records.grain, demand.hours, demand.start) == ("day", 48, datetime(2026, 3, 2, tzinfo=UTC))
        assert set(demand.cost[0, :24]) == {1.0}
        assert set(demand.cost[0, 24:]) == {2.0}
        assert "a row is a day: each of its 24 hours has the same share" in records.notes()

    def test_a_timestamp_goes_before_an_hour_of_the_day(self, write):
        records = read(write("hour,timestamp,agent,cost\n7,2026-03-02T07:10:00Z,a,1\n"))
        assert records.columns["time"] == ("timestamp",)


class TestCosts:
    @pytest.mark.parametrize(
        ("text", "cost"),
        [("0.10", "0.10"), ("1e-05", "0.00001"), ("4.41E-5", "0.0000441"), ("12", "12"), ("0e99", "0")],
    )
    def test_they_are_exact(self, write, text, cost):
        assert read(write(HEAD + f"1,a,{text}\n")).calls[0].cost == Decimal(cost)

    def test_thirty_places_are_kept_whatever_the_context(self, write):
        path = write(HEAD + "1,a,0.003835980000000000000000000000\n1,a,1000.000000000000000000000000000001\n")
        with localcontext() as context:
            context.prec = 3
            assert read(path).cost == Decimal("1000.003835980000000000000000000001")

    @pytest.mark.parametrize(
        "text", ["-1", "1e16", "$5", "1 000", "+1", ".5", "5.", "inf", "0x1", "True", "1e-50"]
    )
    def test_what_is_no_cost(self, write, text):
        with pytest.raises(TraceError, match=r"line 2: cost must"):
            read(write(HEAD + f"1,a,{text}\n"))

    @pytest.mark.parametrize("text", ["", " ", "nan", "NaN", "null", "None", "NA"])
    def test_not_known_is_not_zero(self, write, text):
        records = read(write(HEAD + f"1,a,0.5\n2,a,{text}\n3,b,0\n"))
        assert (records.unknown, records.cost) == (1, Decimal("0.5"))
        assert "1 cost not known: empty or NaN, which is not zero" in records.notes()
        for make in (records.demand, records.trace):
            with pytest.raises(TraceError, match="1 cost of 1 agent not known, which is not zero"):
                make()
        assert records.demand(unknown="zero").cost.tolist() == [[0.5], [0.0]]
        assert records.demand(unknown="leave-out").agents == ("b",)
        assert records.trace(unknown="leave-out").agents == ["b"]
        assert len(records.trace(unknown="zero")) == 3
        with pytest.raises(ConfigurationError, match="unknown must be 'refuse', 'zero' or 'leave-out'"):
            records.demand(unknown="guess")

    def test_nobody_is_left(self, write):
        with pytest.raises(TraceError, match="none is left"):
            read(write(HEAD + "1,a,nan\n")).demand(unknown="leave-out")

    def test_tokens_need_a_price_for_demand_and_have_a_notional_one_in_traces(self, write):
        path = write("time,agent,prompt_tokens,completion_tokens\n0,a,1000000,0\n1,a,0,1000000\n2,b,,5\n")
        records = read(path)
        assert records.unknown == 1
        with pytest.raises(TraceError, match="--input-price and --output-price"):
            records.demand(unknown="zero")
        price = Price(Decimal(3), Decimal(15))
        assert records.demand(unknown="zero", price=price).cost[0].tolist() == [18.0]
        assert records.demand(unknown="leave-out", price=price).cost.tolist() == [[18.0]]
        assert records.trace(unknown="leave-out").cost == Decimal("12.5")


class TestForms:
    def test_semicolons_capitals_and_decimal_commas(self, write):
        path = write(
            "Timestamp;Agent ID;Cost-USD;Note\n2026-03-02 12:00;Änne;0,25;a,b\n2026-03-02 12:10;Änne;1;\n"
        )
        assert read(path).cost == Decimal("1.25")
        assert read(path).agents == ["Änne"]

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_every_delimiter(self, write, delimiter):
        rows = [(1, "a, b; c", "0.5"), (2, "x\ty|z", "0.25")]
        assert read(write(table(rows, delimiter=delimiter))).cost == Decimal("0.75")

    def test_lines_of_json_objects_and_answers_of_services(self, write):
        rows = [
            {"time": NOON, "agent": "a", "usage": {"cost": 0.1}},
            {"agent": "b", "time": NOON, "usage": {"cost": 2}},
        ]
        lines = "\n".join(map(json.dumps, rows)) + "\n\n"
        for path in (
            write(lines, "calls.jsonl"),
            write(lines, "calls.jsonl.gz"),
            write(json.dumps(rows), "calls.json"),
            write(json.dumps({"data": rows, "has_more": False}), "more.json"),
        ):
            assert read(path, cost="usage.cost").cost == Decimal("2.1")
        for text, message in (("{\n", "line 1: not JSON"), ("5\n", "line 1: must be an object, not 5")):
            with pytest.raises(TraceError, match=message):
                read(write(text, "calls.jsonl"))
        for text, message in (("{", "not JSON"), ('{"a": 1}', "must be a list of objects")):
            with pytest.raises(TraceError, match=message):
                read(write(text, "calls.json"))

    def test_parquet(self, tmp_path):
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        times = [
            datetime(2026, 3, 2, 12, tzinfo=timezone(timedelta(hours=1))),
            datetime(2026, 3, 2, 13, tzinfo=UTC),
        ]
        parquet.write_table(
            pyarrow.table({"time": times, "agent": ["a", None], "cost": [0.1, 2.5]}),
            tmp_path / "calls.parquet",
        )
        with pytest.raises(TraceError, match="row 2: agent is empty"):
            read(tmp_path / "calls.parquet")
        (call,) = read(tmp_path / "calls.parquet", skip_bad=True).calls
        assert (call.micros, call.cost) == ((NOON - 3600) * 10**6, Decimal("0.1"))
        (tmp_path / "torn.parquet").write_bytes(b"PAR1")
        with pytest.raises(TraceError, match="not a parquet file"):
            read(tmp_path / "torn.parquet")

    def test_arrays_of_numpy(self, tmp_path):
        path = tmp_path / "calls.npz"
        np.savez(path, t_s=[3.0, 1.0], input_tokens=[1000, 1000], output_tokens=[200, 0])
        trace = Trace.load(path)
        assert [request.micros for request in trace] == [0, 2_000_000]
        assert len(trace.agents) == 2
        with pytest.raises(TraceError, match="no column is the agent"):
            read(path)


class TestTables:
    ROWS: ClassVar = {
        "time": [datetime(2026, 3, 2, 12, tzinfo=UTC), datetime(2026, 3, 2, 14, 30, tzinfo=UTC)],
        "agent": ["a", "b"],
        "cost": [0.1, None],
        "priority": [8, 8],
    }

    def check(self, source):
        records = read(source)
        assert [call.micros for call in records] == [NOON * 10**6, (NOON + 9000) * 10**6]
        assert [call.cost for call in records] == [Decimal("0.1"), None]
        assert records.demand(unknown="leave-out").priorities == {"a": 8}

    def test_a_mapping_of_columns(self):
        self.check(self.ROWS)
        self.check({**self.ROWS, "cost": np.array([0.1, np.nan]), "priority": np.array([8, 8])})

    def test_pandas(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(self.ROWS)
        self.check(frame)
        self.check(frame.convert_dtypes())
        self.check(frame.assign(time=frame["time"].dt.tz_convert("America/New_York")))
        self.check(frame.assign(time=frame["time"].dt.tz_localize(None)))
        self.check(frame.assign(cost=[Decimal("0.1"), Decimal("NaN")]))

    def test_polars(self):
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame(self.ROWS)
        self.check(frame)
        self.check(frame.with_columns(polars.col("time").dt.convert_time_zone("Asia/Tokyo")))

    def test_arrow(self):
        pyarrow = pytest.importorskip("pyarrow")
        found = pyarrow.table(self.ROWS)
        self.check(found)
        self.check(found.to_batches()[0])

        class Stream:  # whatever speaks arrow
            def __arrow_c_stream__(self, requested_schema=None):
                return found.__arrow_c_stream__(requested_schema)

        self.check(Stream())

    @pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
    def test_to_frame_and_back(self, library):
        pytest.importorskip(library)
        records = read({"time": [1, 2], "agent": ["a", "b"], "cost": ["0.10", "1e-7"]})
        back = read(records.to_frame(library), time="micros")
        assert [call.cost for call in back] == [Decimal("0.10"), Decimal("1e-7")]
        demand = records.demand()
        frame = demand.to_frame(library)
        assert np.array_equal(Demand.read(frame).cost, demand.cost)

    @pytest.mark.parametrize("source", [5, None, [1, 2], {"time": [1], "agent": ["a", "b"]}, {"time": 5}])
    def test_what_is_no_table(self, source):
        with pytest.raises((ConfigurationError, TypeError)):
            read(source)


class TestColumns:
    def test_names_of_ones_own(self, write):
        path = write("who,at,usd spent,why\nada,5,0.5,chat\n")
        (call,) = read(path, time="at", agent="WHO", cost="usd_spent", operation="why").calls
        assert (call.agent, call.cost, call.operation) == ("ada", Decimal("0.5"), "chat")
        with pytest.raises(
            TraceError, match="no column 'cents' for the cost; there are who, at, usd spent, why"
        ):
            read(path, time="at", agent="who", cost="cents")
        with pytest.raises(TraceError, match="no column is the time: name it with --time"):
            read(path)

    def test_priorities_are_the_latest(self, write):
        path = write("time,agent,cost,priority\n9,a,1,8\n1,a,1,3\n1,b,1,\n")
        assert Demand.read(path).priorities == {"a": 8}
        for wrong in ("0", "11", "high"):
            with pytest.raises(TraceError, match="line 2: priority must be"):
                read(write(f"time,agent,cost,priority\n9,a,1,{wrong}\n"))

    def test_agents_of_rows_without_names(self, write):
        path = write("time,cost\n" + "1,1\n" * 50)
        assert 1 < len(read(path, agents=5).agents) <= 5
        with pytest.raises(TraceError, match="no column is the agent"):
            read(path)


class TestBadRows:
    TEXT = HEAD + "1,a,1\n2,a,x\n3,,1\n4,b,2,9\n5,b\n\n6,b,3,\n"

    def test_they_are_counted_and_shown(self, write):
        with pytest.raises(TraceError) as caught:
            read(write(self.TEXT))
        assert "line 3: cost must be a number from 0 to 10^15, as 0.25, not 'x'" in str(caught.value)
        assert "(4 of 6 rows are bad: --skip-bad leaves them out)" in str(caught.value)
        assert caught.value.line == 3

    def test_they_are_skipped_when_asked(self, write):
        records = read(write(self.TEXT), skip_bad=True)
        assert (len(records), records.bad_rows, records.cost) == (2, 4, Decimal(4))
        note = next(note for note in records.notes() if "bad" in note)
        assert note.startswith("4 bad rows left out: line 3: cost must be")
        assert "line 4: agent is empty" in note
        assert note.endswith("; ...")

    def test_nothing_good_is_left(self, write):
        with pytest.raises(TraceError, match="line 2: agent is empty"):
            read(write(HEAD + "1,,1\n"), skip_bad=True)


EXPORTS = {
    "litellm": (
        (
            "request_id,call_type,api_key,spend,prompt_tokens,completion_tokens,startTime,endTime,user,end_user\n"
            "1,acompletion,sk,0.5,10,5,2026-03-02 12:00:00.123,2026-03-02 12:00:01,ada,\n"
            "2,acompletion,sk,1.25e-3,10,5,2026-03-02 13:00:00,2026-03-02 13:00:01,,\n"
        ),
        {"ada": "0.5", "sk": "0.00125"},
    ),
    "openai": (
        (
            "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id\n"
            f"{NOON - 43200},{NOON + 43200},2026-03-02T00:00:00,2026-03-03T00:00:00,,,,\n"
            f"{NOON + 43200},{NOON + 129600},2026-03-03T00:00:00,2026-03-04T00:00:00,0.00383598000,usd,x,p\n"
        ),
        {"p": "0.00383598"},
    ),
    "anthropic": (
        (
            "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd\n"
            "2026-03-02,Claude,Default,key-1,message,≤ 200k,input_no_cache,0.05\n"
            "2026-03-02,Claude,Default,key-1,message,≤ 200k,output,0.02\n"
            "2026-03-03,Claude,Default,,message,≤ 200k,output,0.10\n"
        ),
        {"key-1": "0.07", "Default": "0.10"},
    ),
    "langfuse": (
        (
            "id,trace_id,type,start_time,user_id,name,total_cost\n"
            "1,t,GENERATION,2026-03-02 12:00:00.123456,ada,chat,0.5\n"
            "2,t,SPAN,2026-03-02 12:00:00.123456,ada,step,\n"
            "3,t,GENERATION,2026-03-02 12:00:00.123456,,chat,0.25\n"
        ),
        {"ada": "0.5", "chat": "0.25"},
    ),
    "helicone": (
        (
            "response_id,response_created_at,request_created_at,request_user_id,model,prompt_tokens,completion_tokens,cost\n"
            '"1","2026-03-02T12:00:01","2026-03-02T12:00:00","ada","gpt","10","5","0.5"\n'
            '"2","2026-03-02T12:00:01","2026-03-02T12:00:00","","gpt","10","5","0.25"\n'
        ),
        {"ada": "0.5", "gpt": "0.25"},
    ),
}


class TestExports:
    @pytest.mark.parametrize("name", PRESETS)
    def test_they_are_known_by_their_columns(self, write, name):
        text, costs = EXPORTS[name]
        records = read(write(text))
        found = Counter()
        for call in records:
            found[call.agent] += call.cost
        assert records.preset == name
        assert found == {agent: Decimal(cost) for agent, cost in costs.items()}
        assert read(write(text), preset=name).cost == records.cost
        records.demand()
        records.trace()

    def test_days_without_costs_and_steps_are_no_calls(self, write):
        assert read(write(EXPORTS["openai"][0])).left_out == 1
        assert read(write(EXPORTS["langfuse"][0])).left_out == 1
        lost = EXPORTS["langfuse"][0] + "4,t,GENERATION,2026-03-02 12:00:00,ada,chat,\n"
        assert read(write(lost)).unknown == 1

    def test_what_is_said_goes_before_what_is_known(self, write):
        assert read(write(EXPORTS["litellm"][0]), agent="api_key").agents == ["sk"]

    def test_a_preset_whose_columns_are_missing(self, write):
        with pytest.raises(TraceError, match="no column is the time"):
            read(write(HEAD + "1,a,1\n"), preset="litellm")
        with pytest.raises(ConfigurationError, match="preset must be 'litellm', "):
            read(write(HEAD + "1,a,1\n"), preset="excel")

    def test_each_says_where_its_names_are_from(self):
        assert all(presets()[name]["source"] for name in PRESETS)


cells = st.decimals(0, 10**6, places=9) | st.integers(0, 10**9)
rows = st.lists(
    st.tuples(st.integers(0, 10**6), st.sampled_from(["ada", "bob", "x, y"]), cells), min_size=1, max_size=40
)


class TestSums:
    @given(rows, st.randoms(use_true_random=False), st.sampled_from([",", ";", "\t"]))
    def test_any_order_of_rows_gives_the_same_sums_by_hour(self, rows, chance, delimiter):
        lines = [(NOON + second, agent, f"{cost}") for second, agent, cost in rows]
        frames = [
            dict(zip(("time", "agent", "cost"), map(list, zip(*some, strict=True)), strict=True))
            for some in (lines, shuffled(lines, chance))
        ]
        first, second = (Demand.read(frame) for frame in frames)
        assert first.agents == second.agents
        assert first.start == second.start
        assert np.array_equal(first.cost, second.cost)
        sums = Counter()
        for second_of, agent, cost in rows:
            sums[agent, (NOON + second_of) // 3600] += Decimal(f"{cost}")
        begin = min(hour for _, hour in sums)
        for (agent, hour), value in sums.items():
            assert first.cost[first.agents.index(agent), hour - begin] == float(value)
        assert np.count_nonzero(first.cost) == sum(value > 0 for value in sums.values())

    @given(rows)
    def test_hours_hold_what_calls_cost(self, rows):
        lines = [(second, agent, f"{cost}") for second, agent, cost in rows]
        records = read(dict(zip(("time", "agent", "cost"), map(list, zip(*lines, strict=True)), strict=True)))
        assert records.cost == records.trace().cost == sum(Decimal(f"{cost}") for _, _, cost in rows)
        assert float(records.demand().cost.sum()) == pytest.approx(float(records.cost))

    @given(rows, st.sampled_from([",", ";", "\t", "|"]))
    def test_written_and_read_back(self, tmp_path_factory, rows, delimiter):
        path = tmp_path_factory.mktemp("rows") / "calls.csv"
        path.write_text(table([(s, a, f"{c}") for s, a, c in rows], delimiter=delimiter), encoding="utf-8")
        found = sorted((call.micros // 10**6, call.agent, call.cost) for call in read(path))
        assert found == sorted((s, a, Decimal(f"{c}")) for s, a, c in rows)

    @given(st.binary(max_size=200))
    def test_whatever_a_file_holds_the_error_is_named(self, tmp_path_factory, data):
        path = tmp_path_factory.mktemp("rows") / "calls.csv"
        for begin in (b"", HEAD.encode()):
            path.write_bytes(begin + data)
            try:
                read(path, skip_bad=True).demand(unknown="zero")
            except TraceError:
                pass


def shuffled(rows, chance):
    rows = list(rows)
    chance.shuffle(rows)
    return rows


class TestRecords:
    def test_what_is_said_of_them(self, write):
        records = read(write(HEAD + f"{NOON},a,1\n{NOON + 3600},b,0.10\n"))
        assert str(records).endswith(
            "calls.csv: 2 calls of 2 agents, 2026-03-02 12:00 to 2026-03-02 13:00 UTC, cost 1.1"
        )
        assert repr(records).startswith("<Records ")
        assert records._repr_html_().startswith("<p>")
        assert records.to_dict()["cost"] == "1.1"
        assert records.notes() == ["a table: time from time, agent from agent, cost from cost"]
        json.dumps(records.to_dict())

    def test_small_costs_are_printed_in_plain_digits(self):
        records = read({"time": [0], "agent": ["a"], "cost": ["1e-12"]})
        assert "cost 0.000000000001" in str(records)

    def test_a_date_is_a_day(self):
        records = read({"time": [date(2026, 3, 2)], "agent": ["a"], "cost": [24]})
        assert records.demand().cost.tolist() == [[1.0] * 24]

    def test_reading_is_quick(self, write):
        chance = random.Random(5)
        text = HEAD + "".join(
            f"{NOON + chance.random() * 1e6:.3f},a{n % 9},{chance.random():.6f}\n" for n in range(20_000)
        )
        assert len(read(write(text))) == 20_000
