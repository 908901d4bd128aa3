//! Arguments other than amounts, checked before anything is done.

use pyo3::exceptions::{PyBaseException, PyOverflowError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDateTime, PyDelta, PyFloat, PyInt, PyString, PyTuple, PyType};
use safeguards_core::amount::Amount;
use safeguards_core::ledger::{MAX_PATH, OperationId, Overage, Period, Request};

use crate::amount::charge;
use crate::error::configuration_error;
use crate::handle::Leaving;
use crate::ledger::PyLedger;

/// Longest id of an agent or a pool, in bytes.
const MAX_ID_BYTES: usize = 512;

/// Longest name of an operation type, in bytes.
const MAX_OPERATION_BYTES: usize = 256;

/// What `reserve` was asked for.
pub(crate) struct Asked<'a> {
    pub(crate) request: Request,
    pub(crate) key: Option<&'a str>,
    /// What a `with` block settles for that is left by an exception.
    pub(crate) leaving: Leaving<Amount>,
    /// What it holds on as well.
    pub(crate) also: Option<Also>,
}

impl<'a> Asked<'a> {
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    pub(crate) fn new(
        ledger: &PyLedger,
        amount: &Bound<'_, PyAny>,
        ttl_seconds: f64,
        overage: &str,
        operation_type: Option<&str>,
        key: Option<&'a str>,
        leaving: AskedLeaving<'_, '_>,
        beside: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let amount_asked = charge(amount, "amount")?;
        let (ttl_nanos, overage) = terms(amount.py(), ttl_seconds, overage)?;
        let operation = operation(ledger, amount.py(), operation_type)?;
        let request = Request { what: amount_asked, ttl_nanos, overage, operation };
        let leaving = if leaving.is_default() {
            Leaving::default()
        } else {
            read_leaving(amount.py(), &leaving, overage, amount_asked)?
        };
        Ok(Self { request, key, leaving, also: maybe_also(beside)? })
    }
}

/// What a `with` block is asked to do that is left by an exception.
#[derive(Clone, Copy)]
pub(crate) struct AskedLeaving<'a, 'py> {
    pub(crate) on_cancel: Option<&'a Bound<'py, PyAny>>,
    pub(crate) on_error: Option<&'a Bound<'py, PyAny>>,
    pub(crate) cut_off: Option<&'a Bound<'py, PyAny>>,
}

impl AskedLeaving<'_, '_> {
    #[inline]
    const fn is_default(&self) -> bool {
        self.on_cancel.is_none() && self.on_error.is_none() && self.cut_off.is_none()
    }

    /// The classes of exceptions that cut a block off, beside those that always do.
    pub(crate) fn classes(&self) -> PyResult<Option<Py<PyAny>>> {
        let Some(asked) = self.cut_off else { return Ok(None) };
        let is_class = |class: &Bound<'_, PyAny>| {
            class
                .cast::<PyType>()
                .is_ok_and(|class| class.is_subclass_of::<PyBaseException>().unwrap_or(false))
        };
        let are_classes = match asked.cast::<PyTuple>() {
            Ok(classes) => classes.iter().all(|class| is_class(&class)),
            Err(_) => is_class(asked),
        };
        if !are_classes {
            let text = "cut_off must be a class of exceptions, or a tuple of them";
            return Err(PyTypeError::new_err(format!("{text}, not {}", shown(asked))));
        }
        Ok(Some(asked.clone().unbind()))
    }
}

#[cold]
fn read_leaving(
    py: Python<'_>,
    asked: &AskedLeaving<'_, '_>,
    overage: Overage,
    amount: Amount,
) -> PyResult<Leaving<Amount>> {
    let read = |value: Option<&Bound<'_, PyAny>>, argument: &str| {
        let left = value.map_or(Ok(Amount::ZERO), |value| charge(value, argument))?;
        let fault = leaving_fault(overage, left, amount, argument);
        fault.map_or(Ok(left), |text| Err(configuration_error(py, text)))
    };
    let (on_cancel, on_error) = (read(asked.on_cancel, "on_cancel")?, read(asked.on_error, "on_error")?);
    Ok(Leaving { on_cancel, on_error, cut_off: asked.classes()? })
}

/// Why a `with` block that is left by an exception could never settle for what it was told to, if so.
pub(crate) fn leaving_fault(
    overage: Overage,
    left: Amount,
    amount: Amount,
    argument: &str,
) -> Option<String> {
    let is_fault = overage == Overage::Reject && left > amount;
    is_fault.then(|| {
        format!(
            "{argument} must not be more than the {amount} that is reserved, not {left}: overage 'reject' \
             settles no more"
        )
    })
}

/// How long a reservation lives, in nanoseconds, and what may be settled beyond it.
#[inline]
pub(crate) fn terms(py: Python<'_>, ttl_seconds: f64, overage: &str) -> PyResult<(i64, Overage)> {
    Ok((ttl_nanos(py, ttl_seconds)?, to_overage(py, overage)?))
}

/// How long a reservation lives, in nanoseconds.
pub(crate) fn ttl_nanos(py: Python<'_>, ttl_seconds: f64) -> PyResult<i64> {
    to_nanos(ttl_seconds).ok_or_else(|| {
        configuration_error(py, format!("ttl_seconds must be positive and finite, not {ttl_seconds}"))
    })
}

/// Agents and pools that are charged beside an agent: ids.
pub(crate) type Also = Vec<PyBackedStr>;

/// The ids of `also=`: several, or one alone.
#[cold]
pub(crate) fn also(value: &Bound<'_, PyAny>) -> PyResult<Also> {
    let wanted = || {
        let got = value.get_type().name().map_or_else(|_| "this".into(), |name| name.to_string());
        PyTypeError::new_err(format!(
            "also must be ids of agents or pools, such as (\"user:7\", \"model:opus\"), not {got}"
        ))
    };
    if let Ok(one) = value.extract::<PyBackedStr>() {
        return Ok(vec![one]);
    }
    let ids = value.try_iter().map_err(|_| wanted())?;
    // One more than there may be: an endless one is not read to its end.
    let ids: Also =
        ids.take(MAX_PATH + 1).map(|id| id?.extract().map_err(|_| wanted())).collect::<PyResult<_>>()?;
    if ids.len() > MAX_PATH {
        let text =
            format!("also= brings more than {MAX_PATH} ids: at most {MAX_PATH} accounts are charged at once");
        return Err(configuration_error(value.py(), text));
    }
    Ok(ids)
}

/// As [`also`], where it may be missing.
#[inline]
pub(crate) fn maybe_also(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Also>> {
    value.map(also).transpose()
}

/// Positive nanoseconds of finite seconds.
fn to_nanos(seconds: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "292 years and more become the end of the line")]
    let nanos = (seconds * 1e9).round() as i64;
    (seconds.is_finite() && nanos > 0).then_some(nanos)
}

fn to_overage(py: Python<'_>, name: &str) -> PyResult<Overage> {
    match name {
        "allow_with_overdraft" => Ok(Overage::AllowWithOverdraft),
        "allow_if_available" => Ok(Overage::AllowIfAvailable),
        "reject" => Ok(Overage::Reject),
        _ => Err(configuration_error(
            py,
            format!(
                "overage must be 'allow_with_overdraft', 'allow_if_available' or 'reject', not {}",
                quoted(name)
            ),
        )),
    }
}

#[inline]
pub(crate) fn operation(ledger: &PyLedger, py: Python<'_>, name: Option<&str>) -> PyResult<OperationId> {
    let Some(name) = name else { return Ok(OperationId::NONE) };
    if name.len() > MAX_OPERATION_BYTES {
        let text =
            format!("operation_type must have at most {MAX_OPERATION_BYTES} bytes, not {}", name.len());
        return Err(configuration_error(py, text));
    }
    Ok(ledger.ledger.operation(name))
}

pub(crate) fn check_id(py: Python<'_>, argument: &str, id: &str) -> PyResult<()> {
    if (1..=MAX_ID_BYTES).contains(&id.len()) {
        return Ok(());
    }
    Err(configuration_error(py, format!("{argument} must have 1 to {MAX_ID_BYTES} bytes, not {}", id.len())))
}

pub(crate) fn check_priority(py: Python<'_>, priority: i64) -> PyResult<u8> {
    let valid = u8::try_from(priority).ok().filter(|priority| (1..=10).contains(priority));
    valid.ok_or_else(|| {
        configuration_error(py, format!("priority must be an int from 1 to 10, not {priority}"))
    })
}

/// Text, for ids and names, which has a form in UTF-8.
#[inline]
pub(crate) fn read_text<'a>(value: &'a Bound<'_, PyAny>, argument: &str) -> PyResult<&'a str> {
    value.extract::<&str>().map_err(|_| not_text(value, argument, ""))
}

#[inline]
fn read_optional_text<'a>(value: &'a Bound<'_, PyAny>, argument: &str) -> PyResult<Option<&'a str>> {
    if value.is_none() {
        return Ok(None);
    }
    value.extract::<&str>().map(Some).map_err(|_| not_text(value, argument, " or None"))
}

#[cold]
fn not_text(value: &Bound<'_, PyAny>, argument: &str, or_none: &str) -> PyErr {
    if value.is_instance_of::<PyString>() {
        let text = format!("{argument} must be Unicode, not {}: half of a surrogate pair", shown(value));
        return PyTypeError::new_err(text);
    }
    wrong_type(value, argument, &format!("a str{or_none}"))
}

/// `agent_id must be a str, not int`
#[cold]
pub(crate) fn wrong_type(value: &Bound<'_, PyAny>, argument: &str, wanted: &str) -> PyErr {
    let got = value.get_type().name().map_or_else(|_| "this".into(), |name| name.to_string());
    let got = if value.is_none() { "None" } else { &got };
    PyTypeError::new_err(format!("{argument} must be {wanted}, not {got}"))
}

/// The text object itself, for who returns it.
fn read_string<'py>(value: &Bound<'py, PyAny>, argument: &str) -> PyResult<Bound<'py, PyString>> {
    read_text(value, argument)?;
    Ok(value.cast::<PyString>()?.clone())
}

fn read_flag(value: &Bound<'_, PyAny>, argument: &str) -> PyResult<bool> {
    value.extract::<bool>().map_err(|_| wrong_type(value, argument, "True or False"))
}

fn read_number(value: &Bound<'_, PyAny>, argument: &str) -> PyResult<f64> {
    real(value).map_err(|error| naming(value, argument, error))
}

fn read_whole(value: &Bound<'_, PyAny>, argument: &str) -> PyResult<i64> {
    whole(value).map_err(|error| naming(value, argument, error))
}

fn read_optional_whole(value: &Bound<'_, PyAny>, argument: &str) -> PyResult<Option<i64>> {
    if value.is_none() { Ok(None) } else { read_whole(value, argument).map(Some) }
}

/// A coordinator, for what is built on one.
pub(crate) fn read_coordinator(value: &Bound<'_, PyAny>, argument: &str) -> PyResult<Py<PyLedger>> {
    let coordinator =
        value.cast::<PyLedger>().map_err(|_| wrong_type(value, argument, "a BudgetCoordinator"));
    coordinator.map(|coordinator| coordinator.clone().unbind())
}

fn read_datetime<'py>(value: &Bound<'py, PyAny>, argument: &str) -> PyResult<Bound<'py, PyDateTime>> {
    let datetime = value.cast::<PyDateTime>().map_err(|_| wrong_type(value, argument, "a datetime"));
    datetime.cloned()
}

fn read_optional_datetime<'py>(
    value: &Bound<'py, PyAny>,
    argument: &str,
) -> PyResult<Option<Bound<'py, PyDateTime>>> {
    if value.is_none() { Ok(None) } else { read_datetime(value, argument).map(Some) }
}

/// Conversions of arguments, each by the name of its argument: PyO3 says which type a value is not of, and not of which
/// argument it is the value.
macro_rules! named {
    ($kind:ident: $read:ident, $result:ty; $($name:ident),*) => {
        pub(crate) mod $kind {
            #![allow(clippy::wildcard_imports, reason = "what each of them is made of")]
            #![allow(clippy::elidable_lifetime_names, reason = "some of the results name them")]
            use super::*;

            $(
                #[inline]
                pub(crate) fn $name<'a, 'py>(value: &'a Bound<'py, PyAny>) -> PyResult<$result> {
                    $read(value, stringify!($name))
                }
            )*
        }
    };
}

named! { text: read_text, &'a str; account, account_id, actor, agent_id, currency, from_agent_id, overage, pool_id, reason, reservation_id, resource_type, to_agent_id }
named! { optional_text: read_optional_text, Option<&'a str>; account_id, agent_id, idempotency_key, kind, name, operation_type, parent_id, resource }
named! { string: read_string, Bound<'py, PyString>; agent_id }
named! { flag: read_flag, bool; exact, exist_ok, is_pinned, with_pools }
named! { named_whole: read_whole, i64; history_events, history_sums }
named! { optional_whole: read_optional_whole, Option<i64>; refusals_per_minute }
named! { number: read_number, f64; patience }
named! { coordinator: read_coordinator, Py<PyLedger>; budget_coordinator, coordinator }
named! { datetime: read_datetime, Bound<'py, PyDateTime>; start_time, end_time, expires_at, to }
named! { optional_datetime: read_optional_datetime, Option<Bound<'py, PyDateTime>>; start }

/// A value as messages show it: its repr, shortened.
#[cold]
pub(crate) fn shown(value: &Bound<'_, PyAny>) -> String {
    let repr = value.repr().map(|repr| repr.to_string_lossy().into_owned());
    shortened(repr.unwrap_or_else(|_| format!("a value of {}", value.get_type())))
}

/// A name as messages show it: in quotes, shortened.
#[cold]
pub(crate) fn quoted(name: &str) -> String {
    shortened(format!("{name:?}"))
}

const SHOWN: usize = 100;

fn shortened(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// A whole number; one beyond 64 bits is as far as they go, and out of every range.
pub(crate) fn whole(value: &Bound<'_, PyAny>) -> PyResult<i64> {
    let unfit = || PyTypeError::new_err(format!("must be a whole number, not {}", shown(value)));
    let is_plain = value.is_exact_instance_of::<PyInt>();
    if !is_plain && (value.is_instance_of::<PyBool>() || is_array(value)?) {
        return Err(unfit());
    }
    value.extract::<i64>().or_else(|error| {
        if !error.is_instance_of::<PyOverflowError>(value.py()) {
            return Err(if error.is_instance_of::<PyTypeError>(value.py()) { unfit() } else { error });
        }
        Ok(if value.lt(0)? { i64::MIN } else { i64::MAX })
    })
}

/// Whether it is an array of numpy's. Known by what it offers: to ask for the class would import numpy.
#[cold]
fn is_array(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = value.py();
    Ok(value.hasattr(intern!(py, "__array_interface__"))? && value.hasattr(intern!(py, "__setitem__"))?)
}

/// A priority, whose range is checked later.
pub(crate) fn priority(value: &Bound<'_, PyAny>) -> PyResult<i64> {
    whole(value).map_err(|error| naming(value, "priority", error))
}

/// Seconds that a reservation lives, whose range is checked later.
#[inline]
pub(crate) fn ttl_seconds(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    real(value).map_err(|error| naming(value, "ttl_seconds", error))
}

/// Seconds, whose range is checked later.
pub(crate) fn seconds_named(value: &Bound<'_, PyAny>, argument: &str) -> PyResult<f64> {
    real(value).map_err(|error| naming(value, argument, error))
}

#[cold]
pub(crate) fn naming(value: &Bound<'_, PyAny>, argument: &str, error: PyErr) -> PyErr {
    let is_of_type = error.is_instance_of::<PyTypeError>(value.py());
    if is_of_type { PyTypeError::new_err(format!("{argument} {}", error.value(value.py()))) } else { error }
}

/// A number; NaN for what no float can hold.
#[inline]
pub(crate) fn real(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    if let Ok(float) = value.cast_exact::<PyFloat>() {
        return Ok(float.value());
    }
    let whole = value.cast_exact::<PyInt>().ok().and_then(|whole| whole.extract().ok());
    whole.map_or_else(|| read_float(value), Ok)
}

/// As Python code reads numbers: bools and arrays are none.
#[cold]
fn read_float(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    static READ: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = value.py();
    let read = READ.import(py, "safeguards._values.numbers", "as_float")?;
    read.call1((value,))?.extract()
}

/// How many of something are kept.
pub(crate) fn count(py: Python<'_>, argument: &str, value: i64) -> PyResult<usize> {
    let text = || configuration_error(py, format!("{argument} must not be negative; got {value}"));
    usize::try_from(value).map_err(|_| text())
}

/// Nanoseconds of a `timedelta`; one of more than 292 years is as long as they go.
pub(crate) fn timedelta_nanos(value: &Bound<'_, PyAny>, argument: &str) -> PyResult<i64> {
    let py = value.py();
    if !value.is_instance_of::<PyDelta>() {
        let name = value.get_type().name()?;
        return Err(configuration_error(py, format!("{argument} must be a timedelta, not {name}")));
    }
    let microsecond = PyDelta::new(py, 0, 0, 1, false)?;
    Ok(whole(&value.floor_div(microsecond)?)?.saturating_mul(1_000))
}

/// A period by its name or by its length, if there is one.
pub(crate) fn period(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Period>> {
    let Some(value) = value else { return Ok(None) };
    let named = value.extract::<&str>().ok().and_then(|name| match name {
        "hourly" => Some(Period::Hourly),
        "daily" => Some(Period::Daily),
        "weekly" => Some(Period::Weekly),
        "monthly" => Some(Period::Monthly),
        "quarterly" => Some(Period::Quarterly),
        "yearly" => Some(Period::Yearly),
        _ => None,
    });
    if named.is_some() {
        return Ok(named);
    }
    if value.is_instance_of::<PyDelta>() {
        return match timedelta_nanos(value, "budget_period")? {
            nanos if nanos > 0 => Ok(Some(Period::Every(nanos))),
            _ => Err(configuration_error(value.py(), "budget_period must be longer than nothing")),
        };
    }
    let text =
        "budget_period must be 'hourly', 'daily', 'weekly', 'monthly', 'quarterly', 'yearly' or a timedelta";
    Err(configuration_error(value.py(), format!("{text}, not {}", shown(value))))
}

/// Refuses to pickle or copy what owns something, or stands for it.
#[cold]
pub(crate) fn not_copied(what: &str, instead: &str) -> PyErr {
    PyTypeError::new_err(format!("cannot pickle or copy a {what}: {instead}"))
}
