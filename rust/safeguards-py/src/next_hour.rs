//! The streaming forecaster for Python: arrays in, arrays out.

use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use safeguards_core::forecast as core;
use safeguards_core::workers::Stop;

use crate::array::{column, flags, matrix};
use crate::error::configuration_error;
use crate::fork::Shared;
use crate::watched::watched;

fn refuse(error: core::NextHourError) -> PyErr {
    Python::attach(|py| configuration_error(py, error.to_string()))
}

/// Forecasts the demand of the next step, for many series at once, as the demand streams in.
///
/// A step is one period of any length; the seasons are lengths in steps, and the default, a day and a week,
/// is for hours. Each series is forecast by its last value, its level, its level above the profile of each
/// season, and a regression of square roots on its own past; they are weighted by their discounted absolute
/// errors (exponential weights: Cesa-Bianchi & Lugosi 2006, "Prediction, Learning, and Games"). How much
/// more may come is read off the ratios of actual demand to forecast of late (conformal prediction: Vovk,
/// Gammerman & Shafer 2005). Young series borrow from the others. Memory is constant, at most 4 KiB a
/// series with the default seasons.
///
/// Args:
///     n_series: series to begin with.
///     seasons: at most two different lengths of 2 to 10,080 steps.
///
/// Raises:
///     ConfigurationError: `seasons` cannot be followed.
///
/// Example:
///     >>> day = np.where(np.arange(24) < 8, 2.0, 10.0)  # from 8 o'clock on there is work
///     >>> forecaster = NextHour(1)
///     >>> for demand in np.tile(day, 8)[:-16]:  # a week and eight hours
///     ...     forecaster.observe(np.array([demand]))
///     >>> forecaster.forecast().round(1)
///     array([10.])
#[pyclass(frozen, name = "NextHour", module = "safeguards._native")]
pub(crate) struct PyNextHour(Shared<core::NextHour>);

#[pymethods]
impl PyNextHour {
    #[new]
    #[pyo3(signature = (n_series, *, seasons = vec![24, 168]))]
    fn new(py: Python<'_>, n_series: usize, seasons: Vec<usize>) -> PyResult<Self> {
        Shared::new(py, core::NextHour::new(n_series, &seasons).map_err(refuse)?).map(Self)
    }

    /// Takes the demand of one step.
    ///
    /// Args:
    ///     demand: one value for each series, in any unit, not negative; NaN where it is unknown.
    ///     at_least: True where more was wanted than `demand` says, because a budget cut it off. Such a
    ///         demand is taken as the mean of what lay above it so far, in ratios to the forecast.
    ///
    /// Raises:
    ///     ConfigurationError: a wrong length, or a demand that is negative or infinite. Nothing was taken.
    ///
    /// Example:
    ///     >>> forecaster = NextHour(1)
    ///     >>> forecaster.observe(np.array([5.0]))
    ///     >>> forecaster.forecast()
    ///     array([5.])
    #[pyo3(signature = (demand, *, at_least = None))]
    fn observe(
        &self,
        py: Python<'_>,
        demand: &Bound<'_, PyAny>,
        at_least: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let demand: Vec<f64> = column(demand, "demand")?;
        let at_least = at_least.map(|at_least| flags(at_least, "at_least")).transpose()?;
        self.0.with(py, |series| series.observe(&demand, at_least.as_deref()))?.map_err(refuse)
    }

    /// The expected demand of the next step; NaN for a series of which nothing is known.
    ///
    /// Example:
    ///     >>> forecaster = NextHour(2)
    ///     >>> forecaster.observe(np.array([3.0, np.nan]))
    ///     >>> forecaster.forecast()
    ///     array([ 3., nan])
    fn forecast<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        self.0.with(py, |series| series.forecast()).map(|values| PyArray1::from_vec(py, values))
    }

    /// The demand of the last known step as it was taken; NaN where none is.
    ///
    /// Example:
    ///     >>> forecaster = NextHour(1)
    ///     >>> _ = forecaster.replay(np.array([[8.0, 12.0] * 50]))
    ///     >>> forecaster.observe(np.array([8.1]), at_least=np.array([True]))
    ///     >>> forecaster.latest().round(1)
    ///     array([10.2])
    fn latest<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        self.0.with(py, |series| series.latest()).map(|values| PyArray1::from_vec(py, values))
    }

    /// What the demand of the next step stays within, with this probability.
    ///
    /// Args:
    ///     probability: between 0 and 1.
    ///
    /// Returns:
    ///     The forecast times that quantile of the ratios of late, own and pooled; NaN where nothing is
    ///     known.
    ///
    /// Raises:
    ///     ConfigurationError: `probability` is none.
    ///
    /// Example:
    ///     >>> forecaster = NextHour(1)
    ///     >>> _ = forecaster.replay(np.random.default_rng(0).uniform(5.0, 15.0, (1, 500)))
    ///     >>> forecaster.forecast().round(1), forecaster.quantile(0.9).round(1)
    ///     (array([11.]), array([15.1]))
    fn quantile<'py>(&self, py: Python<'py>, probability: f64) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let quantile = self.0.with(py, |series| series.quantile(probability))?.map_err(refuse)?;
        Ok(PyArray1::from_vec(py, quantile))
    }

    /// How sure the forecast is.
    ///
    /// Args:
    ///     within: a factor, such as 1.2.
    ///
    /// Returns:
    ///     For each series, the probability that the demand of the next step is at most `within` times the
    ///     forecast, as it was in the steps of late; NaN where no forecast was ever compared with what came.
    ///
    /// Raises:
    ///     ConfigurationError: `within` is not positive.
    ///
    /// Example:
    ///     >>> forecaster = NextHour(1)
    ///     >>> _ = forecaster.replay(np.random.default_rng(0).uniform(5.0, 15.0, (1, 500)))
    ///     >>> forecaster.confidence(1.2).round(2)
    ///     array([0.73])
    fn confidence<'py>(&self, py: Python<'py>, within: f64) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let confidence = self.0.with(py, |series| series.confidence(within))?.map_err(refuse)?;
        Ok(PyArray1::from_vec(py, confidence))
    }

    /// Takes a whole history, and says what was expected of each step before it was seen.
    ///
    /// Args:
    ///     demand: of shape (n_series, T); NaN where it is unknown.
    ///     probability: gives the quantile instead of the forecast.
    ///
    /// Returns:
    ///     Of the same shape; column t was decided when the columns before t had been seen.
    ///
    /// Raises:
    ///     ConfigurationError: a wrong shape, or a demand that is negative or infinite. Nothing was taken.
    ///     ThreadStartError: the system started no thread. As with Ctrl-C, nothing was taken.
    ///
    /// Example:
    ///     >>> NextHour(1).replay(np.array([[8.0, 8.0, 8.0]]))
    ///     array([[nan,  8.,  8.]])
    #[pyo3(signature = (demand, *, probability = None))]
    fn replay<'py>(
        &self,
        py: Python<'py>,
        demand: &Bound<'py, PyAny>,
        probability: Option<f64>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (demand, [rows, steps]) = matrix(demand, "demand")?;
        let outlook = probability.map_or(core::Outlook::Forecast, core::Outlook::Quantile);
        let stop = Stop::default();
        // On a copy, so that one that is interrupted has seen nothing.
        let replay = |series: &mut core::NextHour| {
            let mut copy = series.clone();
            let expected = copy.replay(rows, steps, &demand, outlook, &stop)?;
            *series = copy;
            Ok(expected)
        };
        let run = || self.0.aside(replay)?.map_err(refuse);
        let expected = watched(py, run, || stop.ask(), |_| Ok(()))?;
        PyArray1::from_vec(py, expected).reshape([rows, steps])
    }

    /// `copy.deepcopy`: another one that knows the same, for what would be if.
    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyAny>) -> PyResult<Self> {
        Shared::new(py, self.0.with(py, |series| series.clone())?).map(Self)
    }

    /// Adds series at the end.
    ///
    /// Example:
    ///     >>> forecaster = NextHour(1)
    ///     >>> forecaster.extend(2)
    ///     >>> forecaster.n_series
    ///     3
    fn extend(&self, py: Python<'_>, n_series: usize) -> PyResult<()> {
        self.0.with(py, |series| series.extend(n_series))
    }

    /// Drops the series where `keep` is False; the others move up.
    ///
    /// Raises:
    ///     ConfigurationError: a wrong length.
    ///
    /// Example:
    ///     >>> forecaster = NextHour(3)
    ///     >>> forecaster.retain(np.array([True, False, True]))
    ///     >>> forecaster.n_series
    ///     2
    fn retain(&self, py: Python<'_>, keep: &Bound<'_, PyAny>) -> PyResult<()> {
        let keep = flags(keep, "keep")?;
        self.0.with(py, |series| series.retain(&keep))?.map_err(refuse)
    }

    /// Series there are.
    #[getter]
    fn n_series(&self, py: Python<'_>) -> PyResult<usize> {
        self.0.with(py, |series| series.len())
    }

    /// Bytes that a series takes.
    #[getter]
    fn bytes_per_series(&self, py: Python<'_>) -> PyResult<usize> {
        self.0.with(py, |series| series.bytes_per_series())
    }
}
