//! Forecasts of windows for Python: a panel of agents at once, and the learner beside a ledger.

use numpy::{PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyDict, PyTuple};
use safeguards_core::clock::Wall;
use safeguards_core::forecast as core;
use safeguards_core::workers::Stop;

use crate::amount::{charge, to_decimal};
use crate::arguments::text;
use crate::array::{column, is_of_floats, matrix};
use crate::clock::{from_datetime, to_datetime};
use crate::error::{configuration_error, no_thread};
use crate::fork::Shared;
use crate::ledger::PyLedger;
use crate::reports::strings;
use crate::time_zones::Zone;
use crate::watched::watched;

const UNITS_PER_AMOUNT: f64 = 1e9;

fn refuse(error: core::ForecastError) -> PyErr {
    let text = error.to_string();
    Python::attach(|py| match error {
        core::ForecastError::Threads => no_thread(py, &text),
        _ => configuration_error(py, text),
    })
}

/// Forecasts every agent of a panel; arrays by name.
#[pyfunction]
#[pyo3(signature = (usage, first, *, lead, length, level, margin, threads))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments, one for each field of the request")]
pub(crate) fn forecast_usage<'py>(
    py: Python<'py>,
    usage: &Bound<'py, PyAny>,
    first: &Bound<'py, PyAny>,
    lead: usize,
    length: usize,
    level: f64,
    margin: f64,
    threads: usize,
) -> PyResult<Bound<'py, PyDict>> {
    let (rows, [_, hours]) = matrix(usage, "usage")?;
    let first: Vec<usize> = column(first, "first")?.into_iter().map(natural).collect();
    let panel = core::Panel { usage: &rows, hours, first: &first };
    let request = core::Request { lead, length, level, margin };
    let stop = Stop::default();
    let run = || core::forecast_all(&panel, &request, threads, &stop).map_err(refuse);
    let forecasts = watched(py, run, || stop.ask(), |_| Ok(()))?;
    let column = |value: fn(&core::Forecast) -> f64| PyArray1::from_iter(py, forecasts.iter().map(value));
    let hourly = PyArray1::from_iter(py, forecasts.iter().flat_map(|forecast| &forecast.hourly).copied());
    let arrays = PyDict::new(py);
    arrays.set_item("hourly", hourly.reshape([forecasts.len(), length])?)?;
    arrays.set_item("median", column(|forecast| forecast.median))?;
    arrays.set_item("lower", column(|forecast| forecast.lower))?;
    arrays.set_item("upper", column(|forecast| forecast.upper))?;
    arrays.set_item("confidence", column(|forecast| forecast.confidence))?;
    Ok(arrays)
}

/// A negative number becomes one that is refused.
fn natural(hour: i64) -> usize {
    usize::try_from(hour).unwrap_or(usize::MAX)
}

/// Usage of many agents, and what it says of the future.
#[pyclass(frozen, name = "UsageLearner", module = "safeguards._native")]
pub(crate) struct PyUsageLearner(Shared<core::Learner>);

#[pymethods]
impl PyUsageLearner {
    #[new]
    fn new(py: Python<'_>, days: u32, min_points: u64, timezone: Option<Zone>) -> PyResult<Self> {
        let zone = Zone::or_local(py, timezone)?;
        Shared::new(py, core::Learner::new(core::Learning { days, min_points, zone })).map(Self)
    }

    /// Reads what is new in a ledger; the number of agents that had something.
    fn read(&self, py: Python<'_>, ledger: &Bound<'_, PyLedger>) -> PyResult<usize> {
        let core = ledger.get().core(py)?;
        let _call = core.long_call();
        self.0.with(py, |learner| learner.read(core, core.clock().wall()))
    }

    /// Takes note of usage from elsewhere: microseconds since 1970, and amounts.
    fn load(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        at: Vec<i64>,
        amounts: &Bound<'_, PyAny>,
        now: &Bound<'_, PyDateTime>,
    ) -> PyResult<()> {
        let (amounts, now) = (read_amounts(amounts)?, from_datetime(now)?);
        if at.len() != amounts.len() {
            let text =
                format!("{} timestamps and {} amounts do not belong together", at.len(), amounts.len());
            return Err(configuration_error(py, text));
        }
        let at = at.into_iter().map(|micros| Wall(micros.saturating_mul(1_000)));
        let points: Vec<(Wall, f64)> = at.zip(amounts).collect();
        self.0.with(py, |learner| learner.load(agent_id, &points, now))?.map_err(refuse)
    }

    /// start, usage of each quarter-hour, data points.
    fn usage<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let known = self.0.with(py, |learner| learner.usage(agent_id))?;
        let tuple = |known: core::KnownUsage| {
            let quarters = PyArray1::from_vec(py, known.quarters);
            (to_datetime(py, known.start)?, quarters, known.points).into_pyobject(py)
        };
        known.map(tuple).transpose()
    }

    /// What an agent will need; `None` where too little is known.
    fn predict<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        start: &Bound<'py, PyDateTime>,
        hours: usize,
        level: f64,
        margin: f64,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let question = core::Question { start: from_datetime(start)?, hours, level, margin };
        let prediction = self.0.with(py, |learner| learner.predict(agent_id, &question))?.map_err(refuse)?;
        prediction.map(|prediction| report(py, &prediction)).transpose()
    }

    /// What each agent will need of which enough is known.
    fn predict_all<'py>(
        &self,
        py: Python<'py>,
        start: &Bound<'py, PyDateTime>,
        hours: usize,
        level: f64,
        margin: f64,
    ) -> PyResult<Vec<(String, Bound<'py, PyTuple>)>> {
        let question = core::Question { start: from_datetime(start)?, hours, level, margin };
        let stop = Stop::default();
        let run = || self.0.aside(|learner| learner.predict_all(&question, &stop))?.map_err(refuse);
        let all = watched(py, run, || stop.ask(), |_| Ok(()))?;
        all.iter().map(|(id, prediction)| Ok((id.to_string(), report(py, prediction)?))).collect()
    }

    /// Ids of the agents of which anything is known, sorted.
    fn agents(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.0.with(py, |learner| learner.agents()).map(strings)
    }

    /// Memory of an agent.
    fn bytes(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
    ) -> PyResult<Option<usize>> {
        self.0.with(py, |learner| learner.bytes(agent_id))
    }
}

/// Amounts, or a float64 array of them.
fn read_amounts(amounts: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    if is_of_floats(amounts) {
        return column(amounts, "amounts");
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "forecasts are estimates: books stay exact, in the ledger"
    )]
    let float =
        |value: PyResult<Bound<'_, PyAny>>| Ok(charge(&value?, "amounts")?.units() as f64 / UNITS_PER_AMOUNT);
    amounts.try_iter()?.map(float).collect()
}

/// median, lower, upper, confidence, hours of the window, experts and weights, start, end of what is known,
/// hours and data points that are known.
fn report<'py>(py: Python<'py>, prediction: &core::Prediction) -> PyResult<Bound<'py, PyTuple>> {
    let core::Prediction { forecast, start, known_until, hours, points } = prediction;
    let weights: Vec<(&str, f64)> = core::EXPERT_NAMES.into_iter().zip(forecast.weights).collect();
    (
        decimal(py, forecast.median)?,
        decimal(py, forecast.lower)?,
        decimal(py, forecast.upper)?,
        forecast.confidence,
        forecast.hourly.clone(),
        weights,
        to_datetime(py, *start)?,
        to_datetime(py, *known_until)?,
        *hours,
        *points,
    )
        .into_pyobject(py)
}

/// An estimate as an amount, to the nearest unit.
fn decimal(py: Python<'_>, value: f64) -> PyResult<Bound<'_, PyAny>> {
    #[expect(clippy::cast_possible_truncation, reason = "amounts and their sums are far below 2^127 units")]
    to_decimal(py, (value * UNITS_PER_AMOUNT).round() as i128)
}
