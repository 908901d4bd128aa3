//! The windows of agents. `BudgetRateLimiter` inherits these methods.

use pyo3::prelude::*;
use safeguards_core::window::{MAX_LIMIT_UNITS, Precision};

use crate::amount::{charge, grant, to_decimal};
use crate::arguments::operation;
use crate::error::{configuration_error, seconds};
use crate::ledger::{PyLedger, admitted};

#[pyclass(frozen, subclass, weakref, module = "safeguards._native", name = "RateLimiter")]
pub(crate) struct PyRateLimiter {
    ledger: Py<PyLedger>,
}

/// Seconds, limit, spent.
type WindowTuple<'py> = (f64, Bound<'py, PyAny>, Bound<'py, PyAny>);

#[pymethods]
impl PyRateLimiter {
    #[new]
    fn new(coordinator: Py<PyLedger>) -> Self {
        Self { ledger: coordinator }
    }

    fn _set_rate_limit(
        &self,
        py: Python<'_>,
        agent_id: &str,
        max_budget: &Bound<'_, PyAny>,
        nanos: i64,
        exact: bool,
    ) -> PyResult<()> {
        let this = self.ledger.get();
        let limit = grant(max_budget, "max_budget")?;
        if limit.units() > MAX_LIMIT_UNITS {
            let most = to_decimal(py, MAX_LIMIT_UNITS)?;
            return Err(configuration_error(
                py,
                format!("max_budget of a window must not be more than {most}"),
            ));
        }
        let precision = if exact { Precision::Exact } else { Precision::Bucketed };
        this.answer(py, this.core(py)?.set_rate_limit(agent_id, limit, nanos, precision))
    }

    fn _remove_rate_limit(&self, py: Python<'_>, agent_id: &str, nanos: Option<i64>) -> PyResult<usize> {
        let this = self.ledger.get();
        this.answer(py, this.core(py)?.remove_rate_limit(agent_id, nanos))
    }

    fn check_rate_limit(&self, py: Python<'_>, agent_id: &str, amount: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (this, amount) = (self.ledger.get(), charge(amount, "amount")?);
        let fits = this.core(py)?.check_rate_limit(agent_id, amount);
        Ok(this.answer(py, admitted(fits))?.is_some())
    }

    #[pyo3(signature = (agent_id, amount, *, operation_type=None))]
    fn record_usage(
        &self,
        py: Python<'_>,
        agent_id: &str,
        amount: &Bound<'_, PyAny>,
        operation_type: Option<&str>,
    ) -> PyResult<()> {
        let (this, amount) = (self.ledger.get(), charge(amount, "amount")?);
        this.answer(py, this.core(py)?.record_usage(agent_id, amount, operation(this, operation_type)))
    }

    fn acquire(&self, py: Python<'_>, agent_id: &str, amount: &Bound<'_, PyAny>) -> PyResult<()> {
        let (this, amount) = (self.ledger.get(), charge(amount, "amount")?);
        this.answer(py, this.core(py)?.acquire(agent_id, amount))
    }

    fn try_acquire(&self, py: Python<'_>, agent_id: &str, amount: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (this, amount) = (self.ledger.get(), charge(amount, "amount")?);
        Ok(this.answer(py, admitted(this.core(py)?.acquire(agent_id, amount)))?.is_some())
    }

    #[pyo3(signature = (agent_id, amount=None))]
    fn get_retry_after(
        &self,
        py: Python<'_>,
        agent_id: &str,
        amount: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<f64> {
        let this = self.ledger.get();
        let amount = amount.map(|amount| charge(amount, "amount")).transpose()?;
        let nanos = this.answer(py, this.core(py)?.retry_after(agent_id, amount))?;
        Ok(nanos.map_or(f64::INFINITY, seconds))
    }

    fn _windows<'py>(&self, py: Python<'py>, agent_id: &str) -> PyResult<Vec<WindowTuple<'py>>> {
        let this = self.ledger.get();
        let windows = this.answer(py, this.core(py)?.windows(agent_id))?;
        let decimals = |units| to_decimal(py, units);
        windows
            .iter()
            .map(|w| Ok((seconds(w.length), decimals(w.limit.units())?, decimals(w.spent)?)))
            .collect()
    }
}
