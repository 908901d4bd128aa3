//! Between Python's numbers and amounts.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString, PyType};
use safeguards_core::amount::{Amount, AmountError, MAX_UNITS, Rounding, UNITS_PER_ONE, Units};

use crate::decimal_layout::Layout;
use crate::error::exception;

/// `decimal.Decimal`, and how to read one.
struct Decimals {
    class: Py<PyType>,
    layout: Option<Layout>,
}

static DECIMALS: PyOnceLock<Decimals> = PyOnceLock::new();

fn decimals(py: Python<'_>) -> PyResult<&'static Decimals> {
    DECIMALS.get_or_try_init(py, || {
        let class = py.import("decimal")?.getattr("Decimal")?.cast_into::<PyType>()?;
        let layout = Layout::probe(&class)?;
        Ok(Decimals { class: class.unbind(), layout })
    })
}

/// What is charged or set aside: rounded up.
#[inline]
pub(crate) fn charge(value: &Bound<'_, PyAny>, argument: &str) -> PyResult<Amount> {
    amount(value, argument, Rounding::Up)
}

/// What is granted: rounded down.
#[inline]
pub(crate) fn grant(value: &Bound<'_, PyAny>, argument: &str) -> PyResult<Amount> {
    amount(value, argument, Rounding::Down)
}

/// What is added to a budget, rounded down, or, below zero, taken away, rounded up. In units.
pub(crate) fn signed(value: &Bound<'_, PyAny>, argument: &str) -> PyResult<i128> {
    let is_number = !value.is_instance_of::<PyString>();
    if is_number && value.lt(0).unwrap_or(false) {
        // `-value` would round a `Decimal` in the caller's context.
        let is_decimal = value.is_instance(decimals(value.py())?.class.bind(value.py()))?;
        let taken = if is_decimal { value.call_method0("copy_abs")? } else { value.neg()? };
        return Ok(-charge(&taken, argument)?.units());
    }
    match value.cast::<PyString>().ok().and_then(|text| text.to_str().ok()?.strip_prefix('-')) {
        Some(digits) => Ok(-charge(PyString::new(value.py(), digits).as_any(), argument)?.units()),
        None => Ok(grant(value, argument)?.units()),
    }
}

#[inline]
fn amount(value: &Bound<'_, PyAny>, argument: &str, rounding: Rounding) -> PyResult<Amount> {
    let Decimals { class, layout } = decimals(value.py())?;
    if let Some(layout) = layout
        && std::ptr::eq(value.get_type_ptr().cast(), class.as_ptr())
        && let Some(amount) = layout.read(value, rounding)
    {
        return amount.map_err(|error| invalid(value, argument, error));
    }
    by_text(value, argument, rounding)
}

/// Any `Decimal` by its text, `int` and `str`.
#[cold]
fn by_text(value: &Bound<'_, PyAny>, argument: &str, rounding: Rounding) -> PyResult<Amount> {
    let py = value.py();
    let class = decimals(py)?.class.bind(py);
    let amount = if value.is_instance(class)? {
        // The method of the class itself: a subclass may print itself in another way.
        let text = class.getattr("__str__")?.call1((value,))?;
        Amount::parse(text.cast::<PyString>()?.to_str()?, rounding)
    } else if let Ok(text) = value.cast::<PyString>() {
        // Text that is no Unicode has other characters than digits.
        text.to_str().map_or(Err(AmountError::Malformed), |text| Amount::parse_written(text, rounding))
    } else if value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>() {
        from_int(value)?
    } else {
        return Err(wrong_type(value, argument));
    };
    amount.map_err(|error| invalid(value, argument, error))
}

fn from_int(value: &Bound<'_, PyAny>) -> PyResult<Result<Amount, AmountError>> {
    const MAX_WHOLE: i128 = MAX_UNITS / UNITS_PER_ONE;
    Ok(match value.extract::<i64>() {
        Ok(whole) if whole < 0 => Err(AmountError::Negative),
        Ok(whole) if i128::from(whole) <= MAX_WHOLE => {
            Amount::from_units(i128::from(whole) * UNITS_PER_ONE).ok_or(AmountError::TooLarge)
        }
        Err(_) if value.lt(0)? => Err(AmountError::Negative),
        _ => Err(AmountError::TooLarge),
    })
}

fn wrong_type(value: &Bound<'_, PyAny>, argument: &str) -> PyErr {
    let name = value.get_type().name().map_or_else(|_| "this".into(), |name| name.to_string());
    let advice = match value.cast::<PyFloat>() {
        Ok(float) => match advised(float.value()) {
            Some(text) => {
                format!("a float cannot hold decimal amounts exactly; write Decimal('{text}') or '{text}'")
            }
            None => "a float cannot hold decimal amounts exactly; write Decimal(...) or decimal text".into(),
        },
        _ => "convert it first".into(),
    };
    PyTypeError::new_err(format!(
        "{argument} must be a Decimal, an int or a decimal string, not {name}: {advice}"
    ))
}

/// What somebody who wrote this float meant, in plain digits; nothing if it is no amount of a length to read.
fn advised(float: f64) -> Option<String> {
    // Rust prints the shortest digits that are this float, and never an exponent.
    let text = format!("{float}");
    let is_amount = Amount::parse_plain(&text, Rounding::Down).is_ok();
    (is_amount && text.len() <= 30).then_some(text)
}

#[cold]
fn invalid(value: &Bound<'_, PyAny>, argument: &str, error: AmountError) -> PyErr {
    let text = shorten(value);
    let fields = PyDict::new(value.py());
    let filled = fields.set_item("argument", argument).and_then(|()| fields.set_item("value", &text));
    match filled {
        Ok(()) => {
            exception(value.py(), "InvalidAmountError", format!("{argument} {error}: got {text:?}"), &fields)
        }
        Err(error) => error,
    }
}

/// The value as text of at most sixty characters.
fn shorten(value: &Bound<'_, PyAny>) -> String {
    let text = match value.str() {
        Ok(text) => text.to_string_lossy().into_owned(),
        // Python refuses to print an int of more than 4,300 digits.
        Err(_) => return "a number of thousands of digits".into(),
    };
    if text.chars().count() <= 60 {
        return text;
    }
    let head: String = text.chars().take(40).collect();
    format!("{head}... ({} characters)", text.chars().count())
}

/// Signed units of 1e-9 as a `Decimal`, exact, without trailing zeros.
pub(crate) fn to_decimal(py: Python<'_>, units: i128) -> PyResult<Bound<'_, PyAny>> {
    decimals(py)?.class.bind(py).call1((Units(units).to_string(),))
}

/// Whether `Decimal`s are read in place on this interpreter. If not: by text, with the same results.
#[pyfunction]
pub(crate) fn reads_decimals_in_place(py: Python<'_>) -> PyResult<bool> {
    Ok(decimals(py)?.layout.is_some())
}

/// The amount of a value in units of 1e-9, as the methods above read it.
///
/// Args:
///     value: a `Decimal`, an `int` or a decimal `str`.
///     round_up: which way more than 9 decimal places are rounded.
///     in_place: whether a `Decimal` may be read in place; if not, it is read by its text.
///     argument: what an error calls the value.
///
/// Raises:
///     InvalidAmountError: `value` is not an amount.
///
/// Example:
///     >>> amount_units(Decimal("0.1"), round_up=True, in_place=True)
///     100000000
#[pyfunction]
#[pyo3(signature = (value, *, round_up, in_place=true, argument="value"))]
pub(crate) fn amount_units(
    value: &Bound<'_, PyAny>,
    round_up: bool,
    in_place: bool,
    argument: &str,
) -> PyResult<i128> {
    let rounding = if round_up { Rounding::Up } else { Rounding::Down };
    let read = if in_place { amount } else { by_text };
    Ok(read(value, argument, rounding)?.units())
}
