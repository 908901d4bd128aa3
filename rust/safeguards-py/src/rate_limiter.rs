//! The windows of agents. `BudgetRateLimiter` inherits these methods.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use safeguards_core::ledger::LedgerError;
use safeguards_core::window::{MAX_LIMIT_UNITS, Precision};

use crate::amount::{charge, grant, to_decimal};
use crate::arguments::{coordinator, flag, operation, optional_text, text, timedelta_nanos};
use crate::error::{configuration_error, seconds};
use crate::ledger::{PyLedger, admitted, answer_told, tell_alarms};

/// The windows behind `BudgetRateLimiter`, which inherits every method from here.
///
/// Examples of its methods start from a `limiter` of a `coordinator` with the agent `"bot"`, which may spend
/// 1.00 in a minute, on a `clock` that stands still.
///
/// Args:
///     coordinator: the coordinator of the agents.
#[pyclass(frozen, subclass, weakref, module = "safeguards._native", name = "RateLimiter")]
pub(crate) struct PyRateLimiter {
    ledger: Py<PyLedger>,
}

/// Seconds, limit, spent.
type WindowTuple<'py> = (f64, Bound<'py, PyAny>, Bound<'py, PyAny>);

impl PyRateLimiter {
    /// What the core answered, once whoever is to know of a refusal was told.
    fn told<R>(&self, py: Python<'_>, outcome: Result<R, LedgerError>) -> PyResult<R> {
        let ledger = self.ledger.bind(py);
        let answer = answer_told(ledger, outcome)?;
        tell_alarms(ledger)?;
        Ok(answer)
    }
}

#[pymethods]
impl PyRateLimiter {
    #[new]
    fn new(#[pyo3(from_py_with = coordinator::coordinator)] coordinator: Py<PyLedger>) -> Self {
        Self { ledger: coordinator }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.ledger)
    }

    fn _set_rate_limit(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        max_budget: &Bound<'_, PyAny>,
        time_window: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = flag::exact)] exact: bool,
    ) -> PyResult<()> {
        let this = self.ledger.get();
        let limit = grant(max_budget, "max_budget")?;
        let nanos = timedelta_nanos(time_window, "time_window")?;
        if limit.units() > MAX_LIMIT_UNITS {
            let most = to_decimal(py, MAX_LIMIT_UNITS)?;
            return Err(configuration_error(
                py,
                format!("max_budget of a window must not be more than {most}"),
            ));
        }
        let precision = if exact { Precision::Exact } else { Precision::Bucketed };
        this.answer(py, this.ask(py, |core| core.set_rate_limit(agent_id, limit, nanos, precision))?)
    }

    fn _remove_rate_limit(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        time_window: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let this = self.ledger.get();
        let nanos = time_window.map(|window| timedelta_nanos(window, "time_window")).transpose()?;
        this.answer(py, this.ask(py, |core| core.remove_rate_limit(agent_id, nanos))?)
    }

    /// Whether `amount` fits into every window of an agent now. Charges nothing.
    ///
    /// What is refused is what `get_retry_after` tells about next.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///
    /// Example:
    ///     >>> limiter.check_rate_limit("bot", "0.80"), limiter.check_rate_limit("bot", "1.20")
    ///     (True, False)
    fn check_rate_limit(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let (this, amount) = (self.ledger.get(), charge(amount, "amount")?);
        let fits = this.ask(py, |core| core.check_rate_limit(agent_id, amount))?;
        self.told(py, admitted(fits)).map(|fits| fits.is_some())
    }

    /// States that `amount` was spent elsewhere: a fact, which nothing refuses.
    ///
    /// It counts in every window of the agent and enters its usage history with the source `"recorded"`; no
    /// budget is touched.
    ///
    /// Args:
    ///     agent_id: the agent.
    ///     amount: how much; more than 9 decimal places are rounded up.
    ///     operation_type: what for.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///
    /// Example:
    ///     >>> limiter.record_usage("bot", "0.90")
    ///     >>> limiter.check_rate_limit("bot", "0.20"), coordinator.get_budget("bot")
    ///     (False, Decimal('1'))
    #[pyo3(signature = (agent_id, amount, *, operation_type=None))]
    fn record_usage(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
    ) -> PyResult<()> {
        let (this, amount) = (self.ledger.get(), charge(amount, "amount")?);
        let operation = operation(this, py, operation_type)?;
        this.answer(py, this.ask(py, |core| core.record_usage(agent_id, amount, operation))?)
    }

    /// Charges `amount` to every window of an agent, all of them or none. No budget is touched.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     RateLimitExceededError: a window is full; nothing was changed, and `retry_after` says for how
    ///         long.
    ///
    /// Example:
    ///     >>> limiter.acquire("bot", "0.80")
    ///     >>> limiter.acquire("bot", "0.80")
    ///     Traceback (most recent call last):
    ///     safeguards.exceptions.RateLimitExceededError: agent "bot" may spend 1 in 60 s and cannot...
    fn acquire(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (this, amount) = (self.ledger.get(), charge(amount, "amount")?);
        self.told(py, this.ask(py, |core| core.acquire(agent_id, amount))?)
    }

    /// As `acquire`, but tells with a bool whether it was admitted.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///
    /// Example:
    ///     >>> limiter.try_acquire("bot", "0.80"), limiter.try_acquire("bot", "0.80")
    ///     (True, False)
    fn try_acquire(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let (this, amount) = (self.ledger.get(), charge(amount, "amount")?);
        let acquired = this.ask(py, |core| core.acquire(agent_id, amount))?;
        self.told(py, admitted(acquired)).map(|acquired| acquired.is_some())
    }

    /// Seconds until `amount` fits into every window of an agent, if nothing else happens.
    ///
    /// Args:
    ///     agent_id: the agent.
    ///     amount: how much; what was refused to the agent last, if not given.
    ///
    /// Returns:
    ///     0.0 if it fits now, if nothing was refused or if there is no limit; `math.inf` if it can never
    ///     fit.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///
    /// Example:
    ///     >>> limiter.acquire("bot", "0.80")
    ///     >>> clock.advance(15)
    ///     >>> limiter.get_retry_after("bot", "0.20"), limiter.get_retry_after("bot", "0.21")
    ///     (0.0, 45.0)
    ///     >>> limiter.get_retry_after("bot", 2)
    ///     inf
    #[pyo3(signature = (agent_id, amount=None))]
    fn get_retry_after(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amount: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<f64> {
        let this = self.ledger.get();
        let amount = amount.map(|amount| charge(amount, "amount")).transpose()?;
        let nanos = this.answer(py, this.ask(py, |core| core.retry_after(agent_id, amount))?)?;
        Ok(nanos.map_or(f64::INFINITY, seconds))
    }

    fn _windows<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
    ) -> PyResult<Vec<WindowTuple<'py>>> {
        let this = self.ledger.get();
        let windows = this.answer(py, this.ask(py, |core| core.windows(agent_id))?)?;
        let decimals = |units| to_decimal(py, units);
        windows
            .iter()
            .map(|w| Ok((seconds(w.length), decimals(w.limit.units())?, decimals(w.spent)?)))
            .collect()
    }
}
