//! Clocks, injected.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDateTime, PyDelta, PyTzInfo};
use pyo3::{PyTraverseError, PyVisit};
use safeguards_core::clock::{Clock, ManualClock, Wall};

use crate::arguments::{datetime, not_copied, optional_datetime, real};
use crate::error::{configuration_error, seconds};

/// The operating system's clocks.
///
/// Example:
///     >>> SystemClock()
///     SystemClock()
#[pyclass(frozen, module = "safeguards._native", name = "SystemClock")]
pub(crate) struct PySystemClock;

#[pymethods]
impl PySystemClock {
    #[new]
    fn new() -> Self {
        Self
    }

    /// Seconds on a line that only goes forward, also while the machine sleeps; its zero means nothing.
    fn monotonic(&self) -> f64 {
        seconds(Clock::System.monotonic().0)
    }

    fn _monotonic_nanos(&self) -> i64 {
        Clock::System.monotonic().0
    }

    /// The wall time, aware, in UTC.
    fn now<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_datetime(py, Clock::System.wall())
    }

    fn __repr__(&self) -> &'static str {
        "SystemClock()"
    }
}

/// A clock that stands still until it is told to move: for tests, and for traces that are replayed.
///
/// Args:
///     start: the wall time that it shows first, before 2262; a naive one is local time. 2026-01-01 UTC if
///         not given.
///
/// Raises:
///     ConfigurationError: `start` is out of range.
///
/// Example:
///     >>> clock = ManualClock()
///     >>> clock.advance(90)
///     >>> clock
///     ManualClock(2026-01-01T00:01:30+00:00)
#[pyclass(frozen, module = "safeguards._native", name = "ManualClock")]
pub(crate) struct PyManualClock {
    clock: Arc<ManualClock>,
    /// Who runs what falls due while the clock is advanced (`safeguards.core._ticker`).
    ticker: OnceLock<Py<PyAny>>,
}

#[pymethods]
impl PyManualClock {
    #[new]
    #[pyo3(signature = (start=None))]
    fn new(
        #[pyo3(from_py_with = optional_datetime::start)] start: Option<Bound<'_, PyDateTime>>,
    ) -> PyResult<Self> {
        // 2026-01-01T00:00:00Z: a test without a date of its own has one that it can compute with.
        let start = start.map_or(Ok(Wall(1_767_225_600_000_000_000)), |start| shown(&start))?;
        Ok(Self { clock: Arc::new(ManualClock::new(start)), ticker: OnceLock::new() })
    }

    /// Moves both lines forward, the monotonic one and the wall time.
    ///
    /// Controllers that were started run on the way, each when its time has come, in this thread.
    ///
    /// Args:
    ///     by: seconds, rounded to nanoseconds, or a `timedelta`.
    ///
    /// Raises:
    ///     ConfigurationError: `by` is negative, not finite or no time at all.
    ///
    /// Example:
    ///     >>> clock.advance(timedelta(minutes=1))
    ///     >>> clock.monotonic()
    ///     60.0
    fn advance(&self, py: Python<'_>, by: &Bound<'_, PyAny>) -> PyResult<()> {
        let by = to_duration(by)?;
        if let Some(ticker) = self.ticker.get() {
            return ticker.call_method1(py, "advance", (by.as_nanos(),)).map(drop);
        }
        self.clock.advance(by);
        Ok(())
    }

    /// Moves both lines without a thought of what falls due.
    fn _skip(&self, nanos: u64) {
        self.clock.advance(Duration::from_nanos(nanos));
    }

    fn _monotonic_nanos(&self) -> i64 {
        self.clock.monotonic().0
    }

    /// The ticker of this clock; the first that is offered stays.
    fn _share_ticker<'py>(&self, py: Python<'py>, offered: Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        self.ticker.get_or_init(|| offered.unbind()).bind(py).clone()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.ticker.get().map_or(Ok(()), |ticker| visit.call(ticker))
    }

    /// Moves the wall time alone, either way: what an administrator or a time server does.
    ///
    /// Args:
    ///     to: the wall time; a naive one is local time.
    ///
    /// Raises:
    ///     ConfigurationError: `to` is out of range.
    ///
    /// Example:
    ///     >>> clock.set_wall(datetime(2026, 7, 1, tzinfo=UTC))
    ///     >>> clock.now(), clock.monotonic()
    ///     (datetime.datetime(2026, 7, 1, 0, 0, tzinfo=datetime.timezone.utc), 0.0)
    fn set_wall(&self, #[pyo3(from_py_with = datetime::to)] to: Bound<'_, PyDateTime>) -> PyResult<()> {
        self.clock.set_wall(shown(&to)?);
        Ok(())
    }

    /// Seconds that the clock was advanced by.
    fn monotonic(&self) -> f64 {
        seconds(self.clock.monotonic().0)
    }

    /// The wall time, aware, in UTC.
    fn now<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_datetime(py, self.clock.wall())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_copied("ManualClock", "whoever reads it reads one time; make one where it is used"))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("ManualClock({})", to_datetime(py, self.clock.wall())?.call_method0("isoformat")?))
    }
}

/// A clock as the ledger uses it.
pub(crate) fn extract(clock: Option<&Bound<'_, PyAny>>) -> PyResult<Clock> {
    let Some(clock) = clock else { return Ok(Clock::System) };
    if let Ok(manual) = clock.cast::<PyManualClock>() {
        Ok(Clock::Manual(Arc::clone(&manual.get().clock)))
    } else if clock.is_instance_of::<PySystemClock>() {
        Ok(Clock::System)
    } else {
        Err(PyTypeError::new_err("clock must be a SystemClock or a ManualClock (safeguards.testing)"))
    }
}

/// Seconds or a `timedelta`, not negative.
fn to_duration(by: &Bound<'_, PyAny>) -> PyResult<Duration> {
    if let Ok(delta) = by.cast::<PyDelta>()
        && let Ok(duration) = delta.extract::<Duration>()
    {
        return Ok(duration);
    }
    let seconds = if by.is_instance_of::<PyDelta>() { None } else { real(by).ok() };
    // Nanoseconds, rounded: seconds that came from nanoseconds go back to the same.
    seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).ok_or_else(|| {
        configuration_error(
            by.py(),
            format!(
                "a clock advances by seconds or a timedelta, not negative; got {}",
                crate::arguments::shown(by)
            ),
        )
    })
}

/// Nanoseconds since 1970 of a `datetime`; a naive one is local time. What lies beyond what a clock can show, as
/// `datetime.max` in any zone, is the last or the first instant: the open end of a range.
pub(crate) fn from_datetime(at: &Bound<'_, PyDateTime>) -> PyResult<Wall> {
    static AS_UTC: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = at.py();
    let utc = AS_UTC.import(py, "safeguards._values.time_zones", "as_utc")?.call1((at,))?;
    let epoch = PyDateTime::from_timestamp(py, 0.0, Some(&PyTzInfo::utc(py)?.to_owned()))?;
    let micros = utc.sub(epoch)?.call_method1("__floordiv__", (PyDelta::new(py, 0, 0, 1, false)?,))?;
    Ok(Wall(micros.extract::<i64>()?.saturating_mul(1_000)))
}

/// A wall time that a clock can show.
fn shown(at: &Bound<'_, PyDateTime>) -> PyResult<Wall> {
    from_datetime(at).and_then(|wall| {
        let fits = (i64::MIN + 1..i64::MAX).contains(&wall.0);
        if fits { Ok(wall) } else { Err(out_of_range(at)) }
    })
}

fn out_of_range(at: &Bound<'_, PyDateTime>) -> PyErr {
    configuration_error(at.py(), format!("{at} is out of range: a clock shows the years 1678 to 2261"))
}

/// An aware `datetime` in UTC, to the microsecond before.
pub(crate) fn to_datetime(py: Python<'_>, wall: Wall) -> PyResult<Bound<'_, PyAny>> {
    let epoch = PyDateTime::from_timestamp(py, 0.0, Some(&PyTzInfo::utc(py)?.to_owned()))?;
    epoch.add(to_timedelta(py, wall.0)?)
}

/// Nanoseconds as a `timedelta`; what is finer than a microsecond is cut off.
pub(crate) fn to_timedelta(py: Python<'_>, nanos: i64) -> PyResult<Bound<'_, PyDelta>> {
    let micros = nanos.div_euclid(1_000);
    let (days, rest) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    let as_i32 = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
    PyDelta::new(py, as_i32(days), as_i32(rest / 1_000_000), as_i32(rest % 1_000_000), false)
}
