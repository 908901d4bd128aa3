//! Money that ends by itself.

use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyTuple};
use safeguards_core::clock::Wall;
use safeguards_core::ledger::{Credit, Ledger};

use super::PyLedger;
use crate::amount::{grant, to_decimal};
use crate::arguments::{datetime, flag, text};
use crate::clock::{from_datetime, to_datetime};
use crate::error::configuration_error;
use crate::patience::patiently;

#[pymethods]
impl PyLedger {
    /// What `Credit` takes of the credit that was given.
    fn _credit<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::account_id)] account_id: &str,
        amount: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = datetime::expires_at)] expires_at: Bound<'py, PyDateTime>,
        #[pyo3(from_py_with = flag::with_pools)] with_pools: bool,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let (amount, ends) = (grant(amount, "amount")?, instant(&expires_at, "expires_at")?);
        let given = self.ask(py, |core| {
            let give = if with_pools { Ledger::credit_line } else { Ledger::credit };
            give(core, account_id, amount, ends)
        })?;
        row(py, &self.answer(py, given)?)
    }

    /// What `Credit` takes of each.
    fn _credits<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::account_id)] account_id: &str,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let core = self.core(py)?;
        let look = || core.account_by_id(account_id).and_then(|account| core.credits(&account));
        let credits = self.answer(py, patiently(py, core, look))?;
        credits.iter().map(|credit| row(py, credit)).collect()
    }
}

/// id, amount, left, reserved, spent, when it ends, whether it has.
fn row<'py>(py: Python<'py>, credit: &Credit) -> PyResult<Bound<'py, PyTuple>> {
    let Credit { id, amount, left, reserved, spent, expires_at, has_ended, .. } = *credit;
    let (amount, left) = (to_decimal(py, amount.units())?, to_decimal(py, left)?);
    let (reserved, spent) = (to_decimal(py, reserved)?, to_decimal(py, spent)?);
    (id.0, amount, left, reserved, spent, to_datetime(py, expires_at)?, has_ended).into_pyobject(py)
}

/// A time that a clock can show; a naive one is local.
fn instant(at: &Bound<'_, PyDateTime>, argument: &str) -> PyResult<Wall> {
    let wall = from_datetime(at)?;
    if (i64::MIN + 1..i64::MAX).contains(&wall.0) {
        return Ok(wall);
    }
    let text = format!("{argument} is out of range, {at}: a clock shows the years 1678 to 2261");
    Err(configuration_error(at.py(), text))
}
