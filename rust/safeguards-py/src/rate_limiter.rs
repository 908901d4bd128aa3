//! The windows of agents and pools. `BudgetRateLimiter` inherits these methods.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use safeguards_core::ledger::{Kind, LedgerError, WindowsOf};
use safeguards_core::window::{MAX_LIMIT_UNITS, Precision};

use crate::amount::{charge, grant, to_decimal};
use crate::arguments::{coordinator, flag, operation, optional_text, quoted, text, timedelta_nanos};
use crate::error::{configuration_error, seconds};
use crate::ledger::{PyLedger, admitted, answer_told, tell_alarms};

/// The windows behind `BudgetRateLimiter`, which inherits every method from here.
///
/// Examples of its methods start from a `limiter` of a `coordinator` with the agent `"bot"`, which may spend
/// 1.00 in a minute, on a `clock` that stands still. Every method takes the id of an agent or of a pool; the
/// agent is meant where both have it and no `kind` is named.
///
/// Args:
///     coordinator: the coordinator of the agents.
#[pyclass(frozen, subclass, weakref, module = "safeguards._native", name = "RateLimiter")]
pub(crate) struct PyRateLimiter {
    ledger: Py<PyLedger>,
}

/// Seconds, limit, spent, reserved.
type WindowTuple<'py> = (f64, Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>);

/// Whose windows are meant.
fn windows_of<'a>(
    py: Python<'_>,
    account: &'a str,
    resource: Option<&'a str>,
    kind: Option<&str>,
) -> PyResult<WindowsOf<'a>> {
    let kind = match kind {
        None => None,
        Some("agent") => Some(Kind::Agent),
        Some("pool") => Some(Kind::Pool),
        Some(other) => {
            let text = format!("kind must be \"agent\" or \"pool\", got {}", quoted(other));
            return Err(configuration_error(py, text));
        }
    };
    Ok(WindowsOf { account, kind, resource })
}

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

    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn _set_rate_limit(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        max_budget: &Bound<'_, PyAny>,
        time_window: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = flag::exact)] exact: bool,
        #[pyo3(from_py_with = optional_text::resource)] resource: Option<&str>,
        #[pyo3(from_py_with = optional_text::kind)] kind: Option<&str>,
    ) -> PyResult<()> {
        let (this, of) = (self.ledger.get(), windows_of(py, agent_id, resource, kind)?);
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
        this.answer(py, this.ask(py, |core| core.set_rate_limit(of, limit, nanos, precision))?)
    }

    fn _remove_rate_limit(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        time_window: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = optional_text::resource)] resource: Option<&str>,
        #[pyo3(from_py_with = optional_text::kind)] kind: Option<&str>,
    ) -> PyResult<usize> {
        let (this, of) = (self.ledger.get(), windows_of(py, agent_id, resource, kind)?);
        let nanos = time_window.map(|window| timedelta_nanos(window, "time_window")).transpose()?;
        this.answer(py, this.ask(py, |core| core.remove_rate_limit(of, nanos))?)
    }

    /// Whether `amount` fits now into every window of an account and of the pools above it.
    ///
    /// Charges nothing. What is refused is what `get_retry_after` tells about next.
    ///
    /// Args:
    ///     agent_id: the agent, or a pool.
    ///     amount: how much; more than 9 decimal places are rounded up.
    ///     resource: a resource of the agent, whose windows are asked alone; money, if not given.
    ///     kind: `"agent"` or `"pool"`, where both have the id.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: there is neither an agent nor a pool of this id.
    ///     UnknownResourceError: the agent has no budget for the resource.
    ///     ConfigurationError: `kind` is neither, or a pool is asked for a resource.
    ///
    /// Example:
    ///     >>> limiter.check_rate_limit("bot", "0.80"), limiter.check_rate_limit("bot", "1.20")
    ///     (True, False)
    #[pyo3(signature = (agent_id, amount, *, resource=None, kind=None))]
    fn check_rate_limit(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = optional_text::resource)] resource: Option<&str>,
        #[pyo3(from_py_with = optional_text::kind)] kind: Option<&str>,
    ) -> PyResult<bool> {
        let (this, amount) = (self.ledger.get(), charge(amount, "amount")?);
        let of = windows_of(py, agent_id, resource, kind)?;
        let fits = this.ask(py, |core| core.check_rate_limit(of, amount))?;
        self.told(py, admitted(fits)).map(|fits| fits.is_some())
    }

    /// States that `amount` was spent elsewhere: a fact, which nothing refuses.
    ///
    /// It counts in every window of the account and of the pools above it, and enters the usage history of
    /// the account with the source `"recorded"`; no budget is touched.
    ///
    /// Args:
    ///     agent_id: the agent, or a pool.
    ///     amount: how much; more than 9 decimal places are rounded up.
    ///     operation_type: what for.
    ///     resource: a resource of the agent, whose windows are meant alone; money, if not given.
    ///     kind: `"agent"` or `"pool"`, where both have the id.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: there is neither an agent nor a pool of this id.
    ///     UnknownResourceError: the agent has no budget for the resource.
    ///     ConfigurationError: `kind` is neither, or a pool is asked for a resource.
    ///
    /// Example:
    ///     >>> limiter.record_usage("bot", "0.90")
    ///     >>> limiter.check_rate_limit("bot", "0.20"), coordinator.get_budget("bot")
    ///     (False, Decimal('1'))
    #[pyo3(signature = (agent_id, amount, *, operation_type=None, resource=None, kind=None))]
    fn record_usage(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text::resource)] resource: Option<&str>,
        #[pyo3(from_py_with = optional_text::kind)] kind: Option<&str>,
    ) -> PyResult<()> {
        let (this, amount) = (self.ledger.get(), charge(amount, "amount")?);
        let of = windows_of(py, agent_id, resource, kind)?;
        let operation = operation(this, py, operation_type)?;
        this.answer(py, this.ask(py, |core| core.record_usage(of, amount, operation))?)
    }

    /// Charges `amount` to every window of an account and of the pools above it, all of them or none.
    ///
    /// No budget is touched.
    ///
    /// Args:
    ///     agent_id: the agent, or a pool.
    ///     amount: how much; more than 9 decimal places are rounded up.
    ///     resource: a resource of the agent, whose windows are meant alone; money, if not given.
    ///     kind: `"agent"` or `"pool"`, where both have the id.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: there is neither an agent nor a pool of this id.
    ///     UnknownResourceError: the agent has no budget for the resource.
    ///     ConfigurationError: `kind` is neither, or a pool is asked for a resource.
    ///     RateLimitExceededError: a window is full; nothing was changed, and `retry_after` says for how
    ///         long.
    ///
    /// Example:
    ///     >>> limiter.acquire("bot", "0.80")
    ///     >>> limiter.acquire("bot", "0.80")
    ///     Traceback (most recent call last):
    ///     safeguards.exceptions.RateLimitExceededError: agent "bot" may spend 1 in 60 s and cannot...
    #[pyo3(signature = (agent_id, amount, *, resource=None, kind=None))]
    fn acquire(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = optional_text::resource)] resource: Option<&str>,
        #[pyo3(from_py_with = optional_text::kind)] kind: Option<&str>,
    ) -> PyResult<()> {
        let (this, amount) = (self.ledger.get(), charge(amount, "amount")?);
        let of = windows_of(py, agent_id, resource, kind)?;
        self.told(py, this.ask(py, |core| core.acquire(of, amount))?)
    }

    /// As `acquire`, but tells with a bool whether it was admitted.
    ///
    /// Args:
    ///     agent_id: the agent, or a pool.
    ///     amount: how much; more than 9 decimal places are rounded up.
    ///     resource: a resource of the agent, whose windows are meant alone; money, if not given.
    ///     kind: `"agent"` or `"pool"`, where both have the id.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: there is neither an agent nor a pool of this id.
    ///     UnknownResourceError: the agent has no budget for the resource.
    ///     ConfigurationError: `kind` is neither, or a pool is asked for a resource.
    ///
    /// Example:
    ///     >>> limiter.try_acquire("bot", "0.80"), limiter.try_acquire("bot", "0.80")
    ///     (True, False)
    #[pyo3(signature = (agent_id, amount, *, resource=None, kind=None))]
    fn try_acquire(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = optional_text::resource)] resource: Option<&str>,
        #[pyo3(from_py_with = optional_text::kind)] kind: Option<&str>,
    ) -> PyResult<bool> {
        let (this, amount) = (self.ledger.get(), charge(amount, "amount")?);
        let of = windows_of(py, agent_id, resource, kind)?;
        let acquired = this.ask(py, |core| core.acquire(of, amount))?;
        self.told(py, admitted(acquired)).map(|acquired| acquired.is_some())
    }

    /// Seconds until enough of what was charged has left the windows for `amount`: it fits no sooner.
    ///
    /// What is reserved may come back at any moment, and so it does not count here: where reservations fill a
    /// window, it is asked again when one of them has ended. Nobody knows what others charge meanwhile.
    ///
    /// Args:
    ///     agent_id: the agent, or a pool; the windows of the pools above it count as well.
    ///     amount: how much; what was refused to the account last, if not given.
    ///     resource: a resource of the agent, whose windows are meant alone; money, if not given.
    ///     kind: `"agent"` or `"pool"`, where both have the id.
    ///
    /// Returns:
    ///     0.0 if it fits beside what was charged, if nothing was refused or if there is no limit; `math.inf`
    ///     if it can never fit.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: there is neither an agent nor a pool of this id.
    ///     UnknownResourceError: the agent has no budget for the resource.
    ///     ConfigurationError: `kind` is neither, or a pool is asked for a resource.
    ///
    /// Example:
    ///     >>> limiter.acquire("bot", "0.80")
    ///     >>> clock.advance(15)
    ///     >>> limiter.get_retry_after("bot", "0.20"), limiter.get_retry_after("bot", "0.21")
    ///     (0.0, 45.0)
    ///     >>> limiter.get_retry_after("bot", 2)
    ///     inf
    #[pyo3(signature = (agent_id, amount=None, *, resource=None, kind=None))]
    fn get_retry_after(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amount: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = optional_text::resource)] resource: Option<&str>,
        #[pyo3(from_py_with = optional_text::kind)] kind: Option<&str>,
    ) -> PyResult<f64> {
        let (this, of) = (self.ledger.get(), windows_of(py, agent_id, resource, kind)?);
        let amount = amount.map(|amount| charge(amount, "amount")).transpose()?;
        let nanos = this.answer(py, this.ask(py, |core| core.retry_after(of, amount))?)?;
        Ok(nanos.map_or(f64::INFINITY, seconds))
    }

    fn _windows<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        #[pyo3(from_py_with = optional_text::resource)] resource: Option<&str>,
        #[pyo3(from_py_with = optional_text::kind)] kind: Option<&str>,
    ) -> PyResult<Vec<WindowTuple<'py>>> {
        let (this, of) = (self.ledger.get(), windows_of(py, agent_id, resource, kind)?);
        let windows = this.answer(py, this.ask(py, |core| core.windows(of))?)?;
        let decimals = |units| to_decimal(py, units);
        windows
            .iter()
            .map(|w| {
                let (limit, spent) = (decimals(w.limit.units())?, decimals(w.spent)?);
                Ok((seconds(w.length), limit, spent, decimals(w.reserved)?))
            })
            .collect()
    }
}
