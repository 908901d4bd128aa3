//! The one place where arrays of numpy are read; `clippy.toml` keeps every other place from it.
//!
//! What is given may lie in memory in any way: a column of packed records, reversed, with stride 0, not
//! aligned, of a subclass. A view that takes strides for multiples of the item reads what is not
//! there, so only what lies there as a slice is read as one; numpy copies the rest. It is always a copy:
//! another thread may write to the array once the interpreter is let go.

#![expect(clippy::disallowed_methods, reason = "the one place that reads slices of arrays")]

use numpy::{Element, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn};
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The values of an array of shape (n,).
pub(crate) fn column<T: Element + Copy>(array: &Bound<'_, PyAny>, argument: &str) -> PyResult<Vec<T>> {
    let found = checked::<T>(array, argument, Some(1))?;
    values(found)
}

/// The values of an array of shape (n, m), row by row, and its shape.
pub(crate) fn matrix<T: Element + Copy>(
    array: &Bound<'_, PyAny>,
    argument: &str,
) -> PyResult<(Vec<T>, [usize; 2])> {
    let found = checked::<T>(array, argument, Some(2))?;
    Ok((values(found)?, [found.shape()[0], found.shape()[1]]))
}

/// The values of an array of any shape, the last axis first to move, and its shape.
pub(crate) fn tensor<T: Element + Copy>(
    array: &Bound<'_, PyAny>,
    argument: &str,
) -> PyResult<(Vec<T>, Vec<usize>)> {
    let found = checked::<T>(array, argument, None)?;
    Ok((values(found)?, found.shape().to_vec()))
}

/// The values of a bool array of shape (n,). In memory there may be other bytes than 0 and 1, which are no
/// `bool` of Rust: numpy takes them for True.
pub(crate) fn flags(array: &Bound<'_, PyAny>, argument: &str) -> PyResult<Vec<bool>> {
    let found = checked::<bool>(array, argument, Some(1))?;
    Ok(slice::<u8>(&copy::<u8>(found)?)?.iter().map(|byte| *byte != 0).collect())
}

/// Whether it is an array of floats, of any precision.
pub(crate) fn is_of_floats(value: &Bound<'_, PyAny>) -> bool {
    value.cast::<PyUntypedArray>().is_ok_and(|array| array.dtype().kind() == b'f')
}

/// An array of exactly this type, in this machine's byte order, with so many dimensions and no mask.
fn checked<'a, 'py, T: Element>(
    array: &'a Bound<'py, PyAny>,
    argument: &str,
    dimensions: Option<usize>,
) -> PyResult<&'a Bound<'py, PyUntypedArray>> {
    let Ok(found) = array.cast::<PyUntypedArray>() else {
        let got = array.get_type().name()?.to_string();
        return Err(unfit::<T>(array.py(), argument, dimensions, &got));
    };
    if !found.dtype().is_equiv_to(&T::get_dtype(array.py()))
        || dimensions.is_some_and(|wanted| wanted != found.ndim())
    {
        let got = format!("shape {} and dtype {}", found.getattr("shape")?, found.dtype());
        return Err(unfit::<T>(array.py(), argument, dimensions, &got));
    }
    if !found.is_exact_instance_of::<PyUntypedArray>() && is_masked(found)? {
        return Err(PyTypeError::new_err(format!(
            "{argument} must have no mask, which would be lost: give numpy.ma.filled({argument}, ...), or \
             {argument}.compressed() for what is not masked"
        )));
    }
    Ok(found)
}

fn is_masked(array: &Bound<'_, PyUntypedArray>) -> PyResult<bool> {
    array.is_instance(&array.py().import("numpy.ma")?.getattr("MaskedArray")?)
}

fn values<T: Element + Copy>(array: &Bound<'_, PyUntypedArray>) -> PyResult<Vec<T>> {
    if array.is_exact_instance_of::<PyUntypedArray>()
        && array.is_c_contiguous()
        && let Ok(native) = array.cast::<PyArrayDyn<T>>()
        && let Ok(items) = native.try_readonly()?.as_slice()
    {
        return Ok(items.to_vec());
    }
    slice(&copy(array)?)
}

fn slice<T: Element + Copy>(array: &PyReadonlyArrayDyn<'_, T>) -> PyResult<Vec<T>> {
    Ok(array.as_slice()?.to_vec())
}

/// What numpy makes of it: aligned, contiguous in C order, of no subclass.
fn copy<'py, T: Element>(array: &Bound<'py, PyUntypedArray>) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    let py = array.py();
    let options = PyDict::new(py);
    options.set_item("dtype", T::get_dtype(py))?;
    options.set_item("order", "C")?;
    let copied = py.import("numpy")?.call_method("array", (array,), Some(&options))?;
    Ok(copied.cast_into::<PyArrayDyn<T>>()?.try_readonly()?)
}

#[cold]
fn unfit<T: Element>(py: Python<'_>, argument: &str, dimensions: Option<usize>, got: &str) -> PyErr {
    let dtype = T::get_dtype(py);
    let shape = match dimensions {
        Some(1) => "of shape (n,) and ",
        Some(_) => "of shape (n, m) and ",
        None => "of ",
    };
    PyTypeError::new_err(format!(
        "{argument} must be a numpy array {shape}dtype {dtype}, not {got}: make one with \
         numpy.asarray({argument}, dtype=numpy.{dtype}) if it holds every value"
    ))
}
