//! A reservation as Python holds it: methods, `with`, `async with`, and a warning when it is forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyResourceWarning, PyStopIteration};
use pyo3::prelude::*;
use safeguards_core::amount::Amount;
use safeguards_core::ledger::{Reservation, ReservationState};

use crate::amount::{charge, to_decimal};
use crate::ledger::{PyLedger, tell_alarms};
use crate::receipt::PyReceipt;

/// A reservation that this object alone holds, or one that was made under a key and can be held by others.
pub(crate) enum Held {
    Alone(Reservation),
    Shared(Arc<Reservation>),
}

impl Held {
    /// Whether nobody else holds it but, for a while, the table of keys: somebody else may still settle it.
    fn is_last(&self) -> bool {
        match self {
            Self::Alone(_) => true,
            Self::Shared(reservation) => Arc::strong_count(reservation) <= 2,
        }
    }
}

impl std::ops::Deref for Held {
    type Target = Reservation;

    #[inline]
    fn deref(&self) -> &Reservation {
        match self {
            Self::Alone(reservation) => reservation,
            Self::Shared(reservation) => reservation,
        }
    }
}

/// Money set aside for one piece of work: made by `reserve`, closed by `settle` or `release`, or by time.
///
/// Works with `with` and `async with`; see `BudgetCoordinator.reserve`. One that is dropped while it is
/// active stays set aside until its time to live is over, and warns with a `ResourceWarning`. Two of one
/// reservation, as repetitions with an idempotency key return, are equal.
///
/// Example:
///     >>> reservation = coordinator.reserve("bot", "0.50")
///     >>> coordinator.get_budget("bot")
///     Decimal('0.5')
///     >>> reservation.settle("0.20").remaining
///     Decimal('0.8')
///     >>> reservation
///     Reservation(2, agent="bot", amount=0.5, settled)
#[pyclass(frozen, weakref, module = "safeguards._native", name = "Reservation")]
pub(crate) struct PyReservation {
    ledger: Py<PyLedger>,
    reservation: Held,
    on_cancel: Amount,
    /// Settled or released through this object: nothing to warn of.
    closed: AtomicBool,
}

impl PyReservation {
    pub(crate) fn new(ledger: &Bound<'_, PyLedger>, reservation: Held, on_cancel: Amount) -> Self {
        Self { ledger: ledger.clone().unbind(), reservation, on_cancel, closed: AtomicBool::new(false) }
    }

    fn settle_amount(&self, py: Python<'_>, amount: Amount) -> PyResult<PyReceipt> {
        let this = self.ledger.get();
        let receipt = this.answer(py, this.core(py)?.settle(&self.reservation, amount))?;
        self.closed.store(true, Ordering::Relaxed);
        tell_alarms(self.ledger.bind(py))?;
        Ok(PyReceipt(receipt))
    }

    fn state_now(&self, py: Python<'_>) -> PyResult<ReservationState> {
        Ok(self.ledger.get().core(py)?.reservation_state(&self.reservation))
    }

    /// Closes what the body of a `with` block left open.
    fn leave(&self, py: Python<'_>, exception: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        if self.closed.load(Ordering::Relaxed) || self.state_now(py)? != ReservationState::Active {
            return Ok(());
        }
        match exception {
            None => self.settle_amount(py, self.reservation.amount()).map(|_| ()),
            Some(exception) if is_cancellation(exception)? => {
                self.settle_amount(py, self.on_cancel).map(|_| ())
            }
            Some(_) => self.release(py),
        }
    }
}

pub(crate) const fn state_name(state: ReservationState) -> &'static str {
    match state {
        ReservationState::Active => "active",
        ReservationState::Settled => "settled",
        ReservationState::Released => "released",
        ReservationState::Expired => "expired",
    }
}

/// Whether a task was cancelled. Whoever cancels tasks has imported `asyncio`.
pub(crate) fn is_cancellation(exception: &Bound<'_, PyAny>) -> PyResult<bool> {
    let modules = exception.py().import("sys")?.getattr("modules")?;
    match modules.call_method1("get", ("asyncio.exceptions",))? {
        asyncio if asyncio.is_none() => Ok(false),
        asyncio => exception.is_instance(&asyncio.getattr("CancelledError")?),
    }
}

#[pymethods]
impl PyReservation {
    /// What was set aside.
    #[getter]
    fn amount<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_decimal(py, self.reservation.amount().units())
    }

    /// Id of the agent that it was made for.
    #[getter]
    fn agent_id(&self) -> &str {
        self.reservation.agent().id()
    }

    /// Its number: the position in the agent's history of the event that made it.
    #[getter]
    fn number(&self) -> u64 {
        self.reservation.number()
    }

    /// Where it stands now: `"active"`, `"settled"`, `"released"` or `"expired"`.
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(state_name(self.state_now(py)?))
    }

    /// What it was settled for; None if it was not.
    #[getter]
    fn receipt(&self, py: Python<'_>) -> PyResult<Option<PyReceipt>> {
        Ok(self.ledger.get().core(py)?.settlement(&self.reservation).map(PyReceipt))
    }

    /// Charges what the work has cost and gives the rest back.
    ///
    /// A repetition with the same amount has no effect.
    ///
    /// After the time to live is over it still charges what it is told, under the overage policy, as a late
    /// settlement: what was spent is a fact.
    ///
    /// Args:
    ///     amount: what it has cost; more than 9 decimal places are rounded up.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     ReservationError: it was released, or settled for another amount.
    ///     BudgetExceededError: it costs more than was reserved, and the overage policy refuses; it stays
    ///         active.
    ///     RateLimitExceededError: it costs more than was reserved, and a window has no room; it stays
    ///         active.
    ///
    /// Example:
    ///     >>> reservation = coordinator.reserve("bot", "0.50")
    ///     >>> reservation.settle("0.20") == reservation.settle("0.20")
    ///     True
    ///     >>> reservation.settle("0.30")
    ///     Traceback (most recent call last):
    ///     safeguards.exceptions.ReservationError: reservation 2 of agent "bot" was settled for 0.2 before...
    fn settle(&self, amount: &Bound<'_, PyAny>) -> PyResult<PyReceipt> {
        self.settle_amount(amount.py(), charge(amount, "amount")?)
    }

    /// Gives back all that was set aside. A repetition, or one that has expired, changes nothing.
    ///
    /// Raises:
    ///     ReservationError: it was settled.
    ///
    /// Example:
    ///     >>> reservation = coordinator.reserve("bot", "0.50")
    ///     >>> reservation.release()
    ///     >>> reservation.state, coordinator.get_budget("bot")
    ///     ('released', Decimal('1'))
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        let this = self.ledger.get();
        this.answer(py, this.core(py)?.release(&self.reservation))?;
        self.closed.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let (this, py) = (slf.get(), slf.py());
        let ledger = this.ledger.get();
        ledger.answer(py, ledger.core(py)?.keep_alive(&this.reservation))?;
        Ok(slf)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _class: Option<&Bound<'_, PyAny>>,
        exception: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        self.leave(py, exception)?;
        Ok(false)
    }

    fn __aenter__(slf: Bound<'_, Self>) -> PyResult<Ready> {
        Ok(Ready::new(Self::__enter__(slf)?.into_any()))
    }

    fn __aexit__(
        &self,
        py: Python<'_>,
        _class: Option<&Bound<'_, PyAny>>,
        exception: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Ready> {
        self.leave(py, exception)?;
        Ok(Ready::new(false.into_pyobject(py)?.to_owned().into_any()))
    }

    fn __eq__(&self, other: &Self) -> bool {
        std::ptr::eq(&raw const *self.reservation, &raw const *other.reservation)
    }

    fn __hash__(&self) -> usize {
        (&raw const *self.reservation).addr() >> 4
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (number, agent, amount) = (self.number(), self.agent_id(), self.amount(py)?);
        Ok(format!("Reservation({number}, agent={agent:?}, amount={amount}, {})", self.state(py)?))
    }
}

impl Drop for PyReservation {
    fn drop(&mut self) {
        if !*self.closed.get_mut() && self.reservation.is_last() {
            while_dropped(|py| self.warn(py));
        }
    }
}

/// Does something for an object that is being dropped, whatever exception is on its way.
pub(crate) fn while_dropped(act: impl FnOnce(Python<'_>)) {
    // No interpreter, no warning: the process is ending.
    Python::try_attach(|py| {
        // Whoever unwinds a stack drops what is on it while an exception is on its way.
        let pending = PyErr::take(py);
        act(py);
        if let Some(pending) = pending {
            pending.restore(py);
        }
    });
}

/// Warns of what was reserved and then forgotten.
pub(crate) fn warn_dropped(py: Python<'_>, reservation: &str, what: &str) {
    let text =
        format!("{reservation} was dropped without settle or release: its {what} set aside until it expires");
    let text = std::ffi::CString::new(text).unwrap_or_default();
    if let Err(error) = PyErr::warn(py, &py.get_type::<PyResourceWarning>(), &text, 1) {
        error.write_unraisable(py, None);
    }
}

impl PyReservation {
    /// Warns if the reservation is still active: its money stays set aside until its time is over.
    #[cold]
    fn warn(&self, py: Python<'_>) {
        let Ok(core) = self.ledger.get().core(py) else { return };
        core.let_expire(&self.reservation);
        if core.reservation_state(&self.reservation) == ReservationState::Active {
            let (number, agent, amount) = (self.number(), self.agent_id(), self.reservation.amount());
            let reservation = format!("reservation {number} of agent {agent:?} ({amount})");
            warn_dropped(py, &reservation, "money stays");
        }
    }
}

/// An awaitable that has its result already: what `async with` awaits.
#[pyclass(frozen, module = "safeguards._native", name = "_Ready")]
pub(crate) struct Ready(Py<PyAny>);

impl Ready {
    pub(crate) fn new(result: Bound<'_, PyAny>) -> Self {
        Self(result.unbind())
    }
}

#[pymethods]
impl Ready {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<()> {
        Err(PyStopIteration::new_err(self.0.clone_ref(py)))
    }
}
