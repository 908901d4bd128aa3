//! Forecasts for Python: a panel of agents at once, and the learner's usage.

use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use safeguards_core::forecast as core;

use crate::error::configuration_error;

fn refuse(error: core::ForecastError) -> PyErr {
    Python::attach(|py| configuration_error(py, error.to_string()))
}

/// Forecasts every agent of a panel; arrays by name.
#[pyfunction]
#[pyo3(signature = (usage, first, *, lead, length, level, margin, threads))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments")]
pub(crate) fn forecast_usage<'py>(
    py: Python<'py>,
    usage: PyReadonlyArray2<'py, f64>,
    first: PyReadonlyArray1<'py, i64>,
    lead: usize,
    length: usize,
    level: f64,
    margin: f64,
    threads: usize,
) -> PyResult<Bound<'py, PyDict>> {
    let hours = usage.shape()[1];
    let rows: Vec<f64> = usage.as_array().iter().copied().collect();
    let first: Vec<usize> =
        first.as_array().iter().map(|first| usize::try_from(*first).unwrap_or(usize::MAX)).collect();
    let panel = core::Panel { usage: &rows, hours, first: &first };
    let request = core::Request { lead, length, level, margin };
    let forecasts = py.detach(|| core::forecast_all(&panel, &request, threads)).map_err(refuse)?;
    let column = |value: fn(&core::Forecast) -> f64| PyArray1::from_iter(py, forecasts.iter().map(value));
    let arrays = PyDict::new(py);
    let hourly = PyArray1::from_iter(py, forecasts.iter().flat_map(|forecast| &forecast.hourly).copied());
    arrays.set_item("hourly", hourly.reshape([forecasts.len(), length])?)?;
    arrays.set_item("median", column(|f| f.median))?;
    arrays.set_item("lower", column(|f| f.lower))?;
    arrays.set_item("upper", column(|f| f.upper))?;
    arrays.set_item("confidence", column(|f| f.confidence))?;
    Ok(arrays)
}
