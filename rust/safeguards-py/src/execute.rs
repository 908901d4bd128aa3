//! Decisions of controllers, carried out.

use pyo3::prelude::*;
use safeguards_core::ledger::{Execution, Kind, Order};

use crate::amount::{grant, signed, to_decimal};
use crate::arguments::text;
use crate::ledger::PyLedger;

/// Carries a decision out: all of it in one step, or nothing.
///
/// Takes the coordinator; whether the account is a pool; its id; what is to remain, or None and what is
/// added to it and to later periods; who decided, and why. Returns what remained before and the changes
/// that were made.
#[pyfunction]
#[pyo3(name = "execute_decision")]
#[expect(clippy::too_many_arguments, reason = "a decision, field by field")]
pub(crate) fn execute_decision<'py>(
    py: Python<'py>,
    ledger: &Bound<'py, PyLedger>,
    is_pool: bool,
    #[pyo3(from_py_with = text::account)] account: &str,
    budget: Option<&Bound<'py, PyAny>>,
    by: &Bound<'py, PyAny>,
    later_periods: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = text::actor)] actor: &str,
    #[pyo3(from_py_with = text::reason)] reason: &str,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let order = match budget {
        Some(budget) => Order::Set(grant(budget, "budget")?),
        None => {
            Order::Adjust { by: signed(by, "by")?, later_periods: signed(later_periods, "later_periods")? }
        }
    };
    let kind = if is_pool { Kind::Pool } else { Kind::Agent };
    let execution = Execution { kind, account, order, actor, reason };
    let ledger = ledger.get();
    let moved = ledger.answer(py, ledger.ask(py, |core| core.execute(&execution))?)?;
    Ok((to_decimal(py, moved.before)?, to_decimal(py, moved.by)?, to_decimal(py, moved.later_periods)?))
}
