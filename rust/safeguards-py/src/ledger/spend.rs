//! Debits and reservations, of one agent and of many.

use std::sync::Arc;

use pyo3::prelude::*;
use safeguards_core::ledger::Account;

use super::{PyLedger, admitted, answer_told, tell_alarms};
use crate::amount::{charge, grant};
use crate::arguments::{Asked, AskedLeaving, maybe_also, operation, optional_text, text, ttl_seconds};
use crate::handle::Holder;
use crate::patience::{patiently, until_interrupted};
use crate::pending::{PyPendingDebit, PyPendingReservation};
use crate::receipt::PyReceipt;
use crate::reservation::PyReservation;
use crate::waiting::{self, Timeout, Want};

#[pymethods]
impl PyLedger {
    /// Charges an agent and every pool above it: all of them or none.
    ///
    /// A debit of 0 is admitted and leaves no event.
    ///
    /// Args:
    ///     agent_id: the agent.
    ///     amount: how much; more than 9 decimal places are rounded up.
    ///     also: ids of agents or pools that are charged as well, each with every account above it: all or
    ///         none, and one that is met twice once.
    ///     operation_type: what for, at most 256 bytes; the usage history can be read by it.
    ///     idempotency_key: of 1 to 256 bytes; a repetition with the same key, agent, `also`, amount and
    ///         operation type has no effect and the first receipt, with `is_repeat`. The newest 100,000 keys
    ///         are remembered for 24 hours; refusals are not remembered.
    ///     timeout: seconds that it waits if it does not fit, `math.inf` without an end; None not to wait.
    ///         It is no part of what a key stands for.
    ///
    /// Returns:
    ///     What was charged, what remains, and the position of the event in the agent's history.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     BudgetExceededError: an account on the path cannot pay; nothing was changed.
    ///     RateLimitExceededError: a window of the agent is full; nothing was changed.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///     IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.
    ///
    /// Example:
    ///     >>> coordinator.debit("bot", "0.25", operation_type="search")
    ///     Receipt(amount=0.25, remaining=0.75, sequence=2)
    ///     >>> coordinator.debit("bot", 5)
    ///     Traceback (most recent call last):
    ///     safeguards.exceptions.BudgetExceededError: agent "bot" cannot pay 5: 0.75 of 1 remain...
    #[pyo3(signature = (agent_id, amount, *, also=None, operation_type=None, idempotency_key=None, timeout=None))]
    fn debit(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
        also: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text::idempotency_key)] idempotency_key: Option<&str>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyReceipt> {
        let (this, py) = (slf.get(), slf.py());
        let (core, amount) = (this.core(py)?, charge(amount, "amount")?);
        let operation = operation(this, py, operation_type)?;
        let also = maybe_also(also)?;
        if let Some(timeout) = Timeout::read(timeout)? {
            let agent = this.agent(py, agent_id)?;
            let joint = this.joint_of(py, &agent, also.as_ref())?;
            let want = Want::of_debit(&agent, joint.as_ref(), amount, operation, idempotency_key);
            return waiting::receipt(slf, waiting::get(slf, &want, timeout)?);
        }
        let debit = |agent: &Arc<Account>| {
            this.debit_account(agent, also.as_ref(), amount, operation, idempotency_key)
        };
        let receipt = answer_told(slf, patiently(py, core, || core.with_agent(agent_id, debit)))?;
        tell_alarms(slf)?;
        Ok(PyReceipt::new(this.books(), receipt))
    }

    /// As `debit`, but tells with a bool whether it was admitted: the form for hot loops.
    ///
    /// Returns:
    ///     True if it was charged; False if a budget or a window refused it, and nothing was changed.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///     IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.
    ///
    /// Example:
    ///     >>> coordinator.try_debit("bot", "0.70"), coordinator.try_debit("bot", "0.70")
    ///     (True, False)
    #[pyo3(signature = (agent_id, amount, *, also=None, operation_type=None, idempotency_key=None))]
    fn try_debit(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
        also: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text::idempotency_key)] idempotency_key: Option<&str>,
    ) -> PyResult<bool> {
        let (this, py) = (slf.get(), slf.py());
        let (core, amount) = (this.core(py)?, charge(amount, "amount")?);
        let operation = operation(this, py, operation_type)?;
        let also = maybe_also(also)?;
        let debit = |agent: &Arc<Account>| {
            this.debit_account(agent, also.as_ref(), amount, operation, idempotency_key)
        };
        let done = answer_told(slf, admitted(patiently(py, core, || core.with_agent(agent_id, debit))))?;
        tell_alarms(slf)?;
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
    ///     agent_id: the agent.
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
    ///     UnknownAgentError: no agent of this id is registered.
    ///     ConfigurationError: `ttl_seconds` is not positive and finite, `overage` is none of the three,
    ///         `on_cancel` or `on_error` is more than is reserved under `"reject"`, a name is longer than 256
    ///         bytes, or a key is empty or longer than that.
    ///     BudgetExceededError: an account on the path cannot pay; nothing was changed.
    ///     RateLimitExceededError: a window of the agent is full; nothing was changed.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///     IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.
    ///
    /// Example:
    ///     >>> with coordinator.reserve("bot", "0.50") as reservation:
    ///     ...     receipt = reservation.settle("0.20")
    ///     >>> coordinator.get_budget("bot")
    ///     Decimal('0.8')
    #[pyo3(signature = (agent_id, amount, *, also=None, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None, idempotency_key=None, on_cancel=None, on_error=None, cut_off=None, timeout=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn reserve(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
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
        let (this, py) = (slf.get(), slf.py());
        let core = this.core(py)?;
        let leaving = AskedLeaving { on_cancel, on_error, cut_off };
        let asked =
            Asked::new(this, amount, ttl_seconds, overage, operation_type, idempotency_key, leaving, also)?;
        if let Some(timeout) = Timeout::read(timeout)? {
            let agent = this.agent(py, agent_id)?;
            let joint = this.joint_of(py, &agent, asked.also.as_ref())?;
            let want = Want::of_reservation(&agent, joint.as_ref(), &asked);
            let got = waiting::get(slf, &want, timeout)?;
            return waiting::reservation(slf, got, asked.leaving, asked.key);
        }
        let reserve = |agent: &Arc<Account>| this.reserve_account(agent, &asked);
        let reservation = answer_told(slf, patiently(py, core, || core.with_agent(agent_id, reserve)))?;
        PyReservation::new(slf, reservation, asked.leaving, Holder::of_key(asked.key))?
            .once_told(py, tell_alarms(slf))
    }

    /// As `reserve`, but returns None if a budget or a window refuses.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount`, `on_cancel` or `on_error` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     ConfigurationError: `ttl_seconds` is not positive and finite, `overage` is none of the three,
    ///         `on_cancel` or `on_error` is more than is reserved under `"reject"`, a name is longer than 256
    ///         bytes, or a key is empty or longer than that.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///     IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.
    ///
    /// Example:
    ///     >>> coordinator.try_reserve("bot", 2) is None
    ///     True
    #[pyo3(signature = (agent_id, amount, *, also=None, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None, idempotency_key=None, on_cancel=None, on_error=None, cut_off=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn try_reserve(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
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
        let (this, py) = (slf.get(), slf.py());
        let core = this.core(py)?;
        let leaving = AskedLeaving { on_cancel, on_error, cut_off };
        let asked =
            Asked::new(this, amount, ttl_seconds, overage, operation_type, idempotency_key, leaving, also)?;
        let reserve = |agent: &Arc<Account>| this.reserve_account(agent, &asked);
        let reservation =
            answer_told(slf, admitted(patiently(py, core, || core.with_agent(agent_id, reserve))))?;
        let told = tell_alarms(slf);
        let Some(made) = reservation else { return told.map(|()| None) };
        PyReservation::new(slf, made, asked.leaving, Holder::of_key(asked.key))?.once_told(py, told).map(Some)
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
    ///     UnknownAgentError: no agent of this id is registered.
    ///     ConfigurationError: `timeout` is negative or not a number.
    ///
    /// Example:
    ///     >>> import asyncio
    ///     >>> async def pay():
    ///     ...     return await coordinator.debit_async("bot", "0.25", timeout=5)
    ///     >>> asyncio.run(pay()).remaining
    ///     Decimal('0.75')
    #[pyo3(signature = (agent_id, amount, *, also=None, operation_type=None, idempotency_key=None, timeout=None))]
    fn debit_async(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
        also: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text::idempotency_key)] idempotency_key: Option<&str>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyPendingDebit> {
        let (this, py) = (slf.get(), slf.py());
        this.core(py)?;
        let (amount, operation) = (charge(amount, "amount")?, operation(this, py, operation_type)?);
        let (also, timeout) = (maybe_also(also)?, Timeout::read(timeout)?);
        let agent = this.agent(py, agent_id)?;
        PyPendingDebit::new(slf, agent, also.as_ref(), amount, operation, idempotency_key, timeout)
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
    ///     UnknownAgentError: no agent of this id is registered.
    ///     ConfigurationError: as `reserve`; or `timeout` is negative or not a number.
    ///
    /// Example:
    ///     >>> import asyncio
    ///     >>> async def work():
    ///     ...     async with coordinator.reserve_async("bot", "0.50", timeout=5) as reservation:
    ///     ...         return reservation.settle("0.20").remaining
    ///     >>> asyncio.run(work())
    ///     Decimal('0.8')
    #[pyo3(signature = (agent_id, amount, *, also=None, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None, idempotency_key=None, on_cancel=None, on_error=None, cut_off=None, timeout=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn reserve_async(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
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
        let (this, py) = (slf.get(), slf.py());
        this.core(py)?;
        let leaving = AskedLeaving { on_cancel, on_error, cut_off };
        let asked =
            Asked::new(this, amount, ttl_seconds, overage, operation_type, idempotency_key, leaving, also)?;
        PyPendingReservation::new(slf, this.agent(py, agent_id)?, asked, Timeout::read(timeout)?)
    }

    /// Moves budget from one agent to another, of one pool or of two; the pools are not touched.
    ///
    /// Args:
    ///     from_agent_id: who gives.
    ///     to_agent_id: who gets.
    ///     amount: how much; more than 9 decimal places are rounded down.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: one of the two is not registered.
    ///     ConfigurationError: both are the same agent, or the taker would have more than 10^15 left.
    ///     BudgetExceededError: the giver has less left; nothing was changed.
    ///
    /// Example:
    ///     >>> coordinator.register_agent("helper", "team")
    ///     'helper'
    ///     >>> coordinator.transfer("bot", "helper", "0.40")
    ///     >>> coordinator.get_budget("bot"), coordinator.get_budget("helper")
    ///     (Decimal('0.6'), Decimal('0.4'))
    fn transfer(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::from_agent_id)] from_agent_id: &str,
        #[pyo3(from_py_with = text::to_agent_id)] to_agent_id: &str,
        amount: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let amount = grant(amount, "amount")?;
        self.answer(py, self.ask(py, |core| core.transfer(from_agent_id, to_agent_id, amount))?)
    }

    /// Gives back every reservation whose time to live is over.
    ///
    /// It is never needed for the books to be right: whoever reads an account, or is refused by one, sees
    /// what is due first.
    ///
    /// Returns:
    ///     How many reservations were given back.
    ///
    /// Example:
    ///     >>> coordinator.expire()
    ///     0
    fn expire(&self, py: Python<'_>) -> PyResult<usize> {
        let core = self.core(py)?;
        let (expired, interrupt) = until_interrupted(py, core, |signals| core.expire_while(|| signals.may()));
        interrupt.map_or(Ok(expired), Err)
    }
}
