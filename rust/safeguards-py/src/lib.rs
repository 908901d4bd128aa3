//! `safeguards._native`: the compiled core as Python sees it.

use pyo3::prelude::*;

#[pymodule]
mod _native {}
