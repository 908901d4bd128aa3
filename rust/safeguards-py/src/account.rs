//! An agent's account, found once: the fastest way to debit it.

use std::sync::Arc;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use safeguards_core::ledger::{Account, LedgerError};

use crate::amount::{charge, to_decimal};
use crate::arguments::{
    Asked, AskedLeaving, maybe_also, not_copied, operation, optional_text, text, ttl_seconds,
};
use crate::handle::Holder;
use crate::ledger::{PyLedger, admitted, answer_told, tell_alarms};
use crate::patience::patiently;
use crate::pending::{PyPendingDebit, PyPendingReservation};
use crate::receipt::PyReceipt;
use crate::reservation::PyReservation;
use crate::waiting::{self, Timeout, Want};

/// One agent's account: the same operations as the coordinator's, without looking up the id.
///
/// Two of the same agent are equal. It belongs to this registration of the agent: once the agent is
/// unregistered, every operation raises `UnknownAgentError`, even if the id is registered anew.
///
/// Example:
///     >>> account = coordinator.account("bot")
///     >>> account
///     Account("bot", budget=1)
///     >>> account == coordinator.account("bot")
///     True
#[pyclass(frozen, weakref, module = "safeguards._native", name = "Account")]
pub(crate) struct PyAccount {
    ledger: Py<PyLedger>,
    account: Arc<Account>,
}

impl PyAccount {
    pub(crate) fn new(ledger: &Bound<'_, PyLedger>, account: Arc<Account>) -> Self {
        Self { ledger: ledger.clone().unbind(), account }
    }
}

#[pymethods]
impl PyAccount {
    /// The agent's id.
    #[getter]
    fn id(&self) -> &str {
        self.account.id()
    }

    /// Id of the pool right above it.
    #[getter]
    fn pool_id(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let parent = |agent: &Arc<Account>| agent.parent().map(|pool| pool.id().to_string());
        let now = self.ledger.get().ask(py, |core| core.moved(&self.account))?;
        Ok(parent(now.as_ref().unwrap_or(&self.account)))
    }

    /// What the agent has left: its own remaining budget, negative only after an overdraft.
    #[getter]
    fn budget<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let this = self.ledger.get();
        to_decimal(
            py,
            this.answer(py, this.ask(py, |core| core.follow(&self.account, |agent| core.remaining(agent)))?)?,
        )
    }

    /// The least that remains on the path from the agent to its topmost pool.
    #[getter]
    fn available<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let this = self.ledger.get();
        to_decimal(
            py,
            this.answer(py, this.ask(py, |core| core.follow(&self.account, |agent| core.available(agent)))?)?,
        )
    }

    /// Charges the agent and every pool above it, all of them or none, as `BudgetCoordinator.debit` does.
    ///
    /// Args:
    ///     amount: how much; more than 9 decimal places are rounded up.
    ///     also: ids of agents or pools that are charged as well, each with every account above it: all or
    ///         none, and one that is met twice once.
    ///     operation_type: what for, at most 256 bytes.
    ///     idempotency_key: of 1 to 256 bytes; a repetition with the same key has no effect and the first
    ///         receipt, with `is_repeat`.
    ///     timeout: seconds that it waits if it does not fit, `math.inf` without an end; None not to wait.
    ///         It is no part of what a key stands for.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: the agent was unregistered.
    ///     BudgetExceededError: an account on the path cannot pay; nothing was changed.
    ///     RateLimitExceededError: a window of the agent is full; nothing was changed.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///     IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.
    ///
    /// Example:
    ///     >>> coordinator.account("bot").debit("0.25").remaining
    ///     Decimal('0.75')
    #[pyo3(signature = (amount, *, also=None, operation_type=None, idempotency_key=None, timeout=None))]
    fn debit(
        &self,
        amount: &Bound<'_, PyAny>,
        also: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text::idempotency_key)] idempotency_key: Option<&str>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyReceipt> {
        let (py, this) = (amount.py(), self.ledger.get());
        this.core(py)?;
        let (amount, operation) = (charge(amount, "amount")?, operation(this, py, operation_type)?);
        let also = maybe_also(also)?;
        if let Some(timeout) = Timeout::read(timeout)? {
            let (ledger, joint) = (self.ledger.bind(py), this.joint_of(py, &self.account, also.as_ref())?);
            let want = Want::of_debit(&self.account, joint.as_ref(), amount, operation, idempotency_key);
            return waiting::receipt(ledger, waiting::get(ledger, &want, timeout)?);
        }
        let debit = || {
            this.ledger.follow(&self.account, |agent| {
                this.debit_account(agent, also.as_ref(), amount, operation, idempotency_key)
            })
        };
        let outcome = patiently(py, &this.ledger, debit);
        let receipt = answer_told(self.ledger.bind(py), outcome)?;
        tell_alarms(self.ledger.bind(py))?;
        Ok(PyReceipt::new(this.books(), receipt))
    }

    /// As `debit`, but tells with a bool whether it was admitted: the fastest form of all.
    ///
    /// Returns:
    ///     True if it was charged; False if a budget or a window refused it, and nothing was changed.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: the agent was unregistered.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///     IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.
    ///
    /// Example:
    ///     >>> coordinator.account("bot").try_debit("1.01")
    ///     False
    #[pyo3(signature = (amount, *, also=None, operation_type=None, idempotency_key=None))]
    fn try_debit(
        &self,
        amount: &Bound<'_, PyAny>,
        also: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text::idempotency_key)] idempotency_key: Option<&str>,
    ) -> PyResult<bool> {
        let (py, this) = (amount.py(), self.ledger.get());
        this.core(py)?;
        let (amount, operation) = (charge(amount, "amount")?, operation(this, py, operation_type)?);
        let also = maybe_also(also)?;
        let debit = || {
            this.ledger.follow(&self.account, |agent| {
                this.debit_account(agent, also.as_ref(), amount, operation, idempotency_key)
            })
        };
        let outcome = patiently(py, &this.ledger, debit);
        let done = answer_told(self.ledger.bind(py), admitted(outcome))?;
        tell_alarms(self.ledger.bind(py))?;
        Ok(done.is_some())
    }

    /// Sets aside the most that a piece of work can cost; settle it for what it did cost.
    ///
    /// As a context manager the reservation is kept alive while the body runs. What happens when the body is
    /// left, unless it settled or released the reservation itself:
    ///
    /// - normally: it is settled for what was reserved;
    /// - cut off in the middle (a cancelled task, a generator that was closed, Ctrl-C, a time-out: whatever
    ///   is no `Exception`, `TimeoutError`, and what `cut_off` names): it is settled for `on_cancel`, as the
    ///   work may have cost by then;
    /// - by any other error: it is settled for `on_error`.
    ///
    /// Where that is 0 it is released, and its key is free. Of a group of exceptions one that cuts off is
    /// enough. If the settlement is refused, as much of it is settled as was reserved. Nothing takes the
    /// place of the exception: what was refused is noted on it. Such a settlement is a `default_settle`
    /// among the events.
    ///
    /// Args:
    ///     amount: the most it can cost; more than 9 decimal places are rounded up.
    ///     also: ids of agents or pools that are charged as well, each with every account above it: all or
    ///         none, and one that is met twice once.
    ///     ttl_seconds: seconds until it is given back by itself, above 0.
    ///     overage: what settling for more may do. `"allow_with_overdraft"` charges it, whatever remains:
    ///         what was spent is a fact. `"allow_if_available"` charges it if every account and window has
    ///         room for the excess. `"reject"` refuses it.
    ///     operation_type: what for, at most 256 bytes.
    ///     idempotency_key: of 1 to 256 bytes. A repetition with the same key, agent, `also`, amount,
    ///         operation type, `ttl_seconds` and `overage` returns the same reservation while it is active or
    ///         settled, with `is_repeat`. One that was released or has expired has no effect: the next
    ///         request under its key is decided anew.
    ///     on_cancel: what a `with` block that is cut off settles for; 0 if not given.
    ///     on_error: what one that ends with an error settles for; 0 if not given.
    ///     cut_off: a class of errors, or a tuple of them, that cut it off as well: those of a client that
    ///         say that it did not wait for the answer.
    ///     timeout: seconds that it waits if it does not fit, `math.inf` without an end; None not to wait.
    ///         It is no part of what a key stands for.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount`, `on_cancel` or `on_error` is not an amount.
    ///     UnknownAgentError: the agent was unregistered.
    ///     ConfigurationError: `ttl_seconds` is not positive and finite, `overage` is none of the three,
    ///         `on_cancel` or `on_error` is more than is reserved under `"reject"`, a name is longer than 256
    ///         bytes, or a key is empty or longer than that.
    ///     BudgetExceededError: an account on the path cannot pay; nothing was changed.
    ///     RateLimitExceededError: a window of the agent is full; nothing was changed.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///     IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.
    ///
    /// Example:
    ///     >>> with coordinator.account("bot").reserve("0.50") as reservation:
    ///     ...     reservation
    ///     Reservation(1, agent="bot", amount=0.5, active)
    #[pyo3(signature = (amount, *, also=None, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None, idempotency_key=None, on_cancel=None, on_error=None, cut_off=None, timeout=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn reserve(
        &self,
        amount: &Bound<'_, PyAny>,
        also: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = ttl_seconds)] ttl_seconds: f64,
        #[pyo3(from_py_with = text::overage)] overage: &str,
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text::idempotency_key)] idempotency_key: Option<&str>,
        on_cancel: Option<&Bound<'_, PyAny>>,
        on_error: Option<&Bound<'_, PyAny>>,
        cut_off: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyReservation> {
        let (py, this) = (amount.py(), self.ledger.get());
        this.core(py)?;
        let leaving = AskedLeaving { on_cancel, on_error, cut_off };
        let asked =
            Asked::new(this, amount, ttl_seconds, overage, operation_type, idempotency_key, leaving, also)?;
        if let Some(timeout) = Timeout::read(timeout)? {
            let ledger = self.ledger.bind(py);
            let joint = this.joint_of(py, &self.account, asked.also.as_ref())?;
            let got =
                waiting::get(ledger, &Want::of_reservation(&self.account, joint.as_ref(), &asked), timeout)?;
            return waiting::reservation(ledger, got, asked.leaving, asked.key);
        }
        let ledger = self.ledger.bind(py);
        let reservation = answer_told(
            ledger,
            patiently(py, &this.ledger, || {
                this.ledger.follow(&self.account, |agent| this.reserve_account(agent, &asked))
            }),
        )?;
        PyReservation::new(ledger, reservation, asked.leaving, Holder::of_key(asked.key))?
            .once_told(py, tell_alarms(ledger))
    }

    /// As `reserve`, but returns None if a budget or a window refuses.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount`, `on_cancel` or `on_error` is not an amount.
    ///     UnknownAgentError: the agent was unregistered.
    ///     ConfigurationError: `ttl_seconds` is not positive and finite, `overage` is none of the three,
    ///         `on_cancel` or `on_error` is more than is reserved under `"reject"`, a name is longer than 256
    ///         bytes, or a key is empty or longer than that.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///     IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.
    ///
    /// Example:
    ///     >>> coordinator.account("bot").try_reserve(2) is None
    ///     True
    #[pyo3(signature = (amount, *, also=None, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None, idempotency_key=None, on_cancel=None, on_error=None, cut_off=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn try_reserve(
        &self,
        amount: &Bound<'_, PyAny>,
        also: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = ttl_seconds)] ttl_seconds: f64,
        #[pyo3(from_py_with = text::overage)] overage: &str,
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text::idempotency_key)] idempotency_key: Option<&str>,
        on_cancel: Option<&Bound<'_, PyAny>>,
        on_error: Option<&Bound<'_, PyAny>>,
        cut_off: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<PyReservation>> {
        let (py, this) = (amount.py(), self.ledger.get());
        this.core(py)?;
        let leaving = AskedLeaving { on_cancel, on_error, cut_off };
        let asked =
            Asked::new(this, amount, ttl_seconds, overage, operation_type, idempotency_key, leaving, also)?;
        let ledger = self.ledger.bind(py);
        let reservation = answer_told(
            ledger,
            admitted(patiently(py, &this.ledger, || {
                this.ledger.follow(&self.account, |agent| this.reserve_account(agent, &asked))
            })),
        )?;
        let told = tell_alarms(ledger);
        let Some(made) = reservation else { return told.map(|()| None) };
        PyReservation::new(ledger, made, asked.leaving, Holder::of_key(asked.key))?
            .once_told(py, told)
            .map(Some)
    }

    /// As `debit`, for tasks: what it returns is awaited, and charges then.
    ///
    /// A task that is cancelled while it waits is charged nothing.
    ///
    /// Returns:
    ///     What is awaited for the receipt.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     ConfigurationError: `timeout` is negative or not a number.
    ///
    /// Example:
    ///     >>> import asyncio
    ///     >>> async def pay():
    ///     ...     return await coordinator.account("bot").debit_async("0.25", timeout=5)
    ///     >>> asyncio.run(pay()).remaining
    ///     Decimal('0.75')
    #[pyo3(signature = (amount, *, also=None, operation_type=None, idempotency_key=None, timeout=None))]
    fn debit_async(
        &self,
        amount: &Bound<'_, PyAny>,
        also: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text::idempotency_key)] idempotency_key: Option<&str>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyPendingDebit> {
        let (py, this) = (amount.py(), self.ledger.get());
        this.core(py)?;
        let (amount, operation) = (charge(amount, "amount")?, operation(this, py, operation_type)?);
        let (also, timeout) = (maybe_also(also)?, Timeout::read(timeout)?);
        let (ledger, agent) = (self.ledger.bind(py), Arc::clone(&self.account));
        PyPendingDebit::new(ledger, agent, also.as_ref(), amount, operation, idempotency_key, timeout)
    }

    /// As `reserve`, for tasks: what it returns is awaited, or entered with `async with`.
    ///
    /// A task that is cancelled while it waits holds nothing.
    ///
    /// Returns:
    ///     What is awaited for the reservation.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount`, `on_cancel` or `on_error` is not an amount.
    ///     ConfigurationError: as `reserve`; or `timeout` is negative or not a number.
    ///
    /// Example:
    ///     >>> import asyncio
    ///     >>> async def work():
    ///     ...     async with coordinator.account("bot").reserve_async("0.50", timeout=5) as reservation:
    ///     ...         return reservation.settle("0.20").remaining
    ///     >>> asyncio.run(work())
    ///     Decimal('0.8')
    #[pyo3(signature = (amount, *, also=None, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None, idempotency_key=None, on_cancel=None, on_error=None, cut_off=None, timeout=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn reserve_async(
        &self,
        amount: &Bound<'_, PyAny>,
        also: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = ttl_seconds)] ttl_seconds: f64,
        #[pyo3(from_py_with = text::overage)] overage: &str,
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text::idempotency_key)] idempotency_key: Option<&str>,
        on_cancel: Option<&Bound<'_, PyAny>>,
        on_error: Option<&Bound<'_, PyAny>>,
        cut_off: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyPendingReservation> {
        let (py, this) = (amount.py(), self.ledger.get());
        this.core(py)?;
        let leaving = AskedLeaving { on_cancel, on_error, cut_off };
        let asked =
            Asked::new(this, amount, ttl_seconds, overage, operation_type, idempotency_key, leaving, also)?;
        let (ledger, agent) = (self.ledger.bind(py), Arc::clone(&self.account));
        PyPendingReservation::new(ledger, agent, asked, Timeout::read(timeout)?)
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.ledger.is(&other.ledger) && self.account.number() == other.account.number()
    }

    fn __hash__(&self) -> usize {
        self.account.number().0 as usize
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.ledger)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_copied(
            "Account",
            "it charges the books of this process; pass its id, and ask account(id) of a coordinator",
        ))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        if self.ledger.get().is_closed() {
            return Ok(format!("Account({:?}, of a coordinator that is closed)", self.id()));
        }
        match self.ledger.get().ask(py, |core| core.follow(&self.account, |agent| core.remaining(agent)))? {
            Ok(units) => Ok(format!("Account({:?}, budget={})", self.id(), to_decimal(py, units)?)),
            Err(LedgerError::UnknownAgent(id)) => Ok(format!("Account({id:?}, unregistered)")),
            Err(error) => self.ledger.get().answer(py, Err(error)),
        }
    }
}
