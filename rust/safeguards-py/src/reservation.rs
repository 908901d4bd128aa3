//! A reservation of money as Python holds it.

use pyo3::prelude::*;
use safeguards_core::amount::Amount;
use safeguards_core::ledger::{Once, Reservation};

use crate::amount::{charge, to_decimal};
use crate::arguments::{not_copied, ttl_seconds};
use crate::handle::{Handle, Holder, Leaving, Ready};
use crate::ledger::PyLedger;
use crate::receipt::PyReceipt;

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
///     Reservation(1, agent="bot", amount=0.5, settled)
#[pyclass(frozen, weakref, module = "safeguards._native", name = "Reservation")]
pub(crate) struct PyReservation(Handle<Amount>);

impl PyReservation {
    pub(crate) fn new(
        ledger: &Bound<'_, PyLedger>,
        reservation: Once<Reservation>,
        leaving: Leaving<Amount>,
        holder: Holder,
    ) -> PyResult<Self> {
        Handle::new(ledger, reservation, leaving, holder).map(Self)
    }

    /// A handle of a reservation that was made before.
    pub(crate) fn found(ledger: &Bound<'_, PyLedger>, reservation: Reservation) -> PyResult<Self> {
        Self::new(ledger, Once::first(reservation), Leaving::default(), Holder::Finder)
    }

    pub(crate) fn once_told(self, py: Python<'_>, told: PyResult<()>) -> PyResult<Self> {
        self.0.once_told(py, told).map(|()| self)
    }
}

#[pymethods]
impl PyReservation {
    /// What was set aside.
    #[getter]
    fn amount<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_decimal(py, self.0.reservation.what().units())
    }

    /// What names it outside of this object: `BudgetCoordinator.reservation` finds it by that.
    #[getter]
    fn id(&self) -> String {
        self.0.reservation.id().to_string()
    }

    /// Id of the agent that it was made for.
    #[getter]
    fn agent_id(&self) -> &str {
        self.0.reservation.agent().id()
    }

    /// Its number among the agent's reservations: 1, 2, 3 and so on.
    #[getter]
    fn number(&self) -> u64 {
        self.0.reservation.number()
    }

    /// Where it stands now: `"active"`, `"settled"`, `"released"` or `"expired"`.
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.0.state_name(py)
    }

    /// Whether it was made before, by the first `reserve` under the same idempotency key.
    ///
    /// Under a key one that is settled can be entered by `with` all the same, and its `state` asked there:
    /// settling it for the same amount has no effect.
    #[getter]
    const fn is_repeat(&self) -> bool {
        self.0.is_repeat()
    }

    /// What it was settled for; None if it was not.
    #[getter]
    fn receipt(&self, py: Python<'_>) -> PyResult<Option<PyReceipt>> {
        Ok(self.0.receipt(py)?.map(|receipt| PyReceipt::new(self.0.books(), Once::first(receipt))))
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
    ///     safeguards.exceptions.ReservationError: reservation 1 of agent "bot" was settled for 0.2 before...
    fn settle(&self, amount: &Bound<'_, PyAny>) -> PyResult<PyReceipt> {
        let receipt = self.0.settle(amount.py(), &charge(amount, "amount")?)?;
        Ok(PyReceipt::new(self.0.books(), Once::first(receipt)))
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
        self.0.release(py)
    }

    /// Lets it live for `ttl_seconds` from now on, in or out of a `with` block.
    ///
    /// Args:
    ///     ttl_seconds: seconds, above 0.
    ///
    /// Raises:
    ///     ConfigurationError: `ttl_seconds` is not positive and finite.
    ///     ReservationError: it was settled or released, or has expired.
    ///
    /// Example:
    ///     >>> reservation = coordinator.reserve("bot", "0.50", ttl_seconds=60)
    ///     >>> clock.advance(59)
    ///     >>> reservation.extend(60)
    ///     >>> clock.advance(59)
    ///     >>> reservation.state
    ///     'active'
    ///     >>> reservation.release()
    fn extend(&self, py: Python<'_>, #[pyo3(from_py_with = ttl_seconds)] ttl_seconds: f64) -> PyResult<()> {
        self.0.extend(py, ttl_seconds)
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().0.enter(slf.py())?;
        Ok(slf)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _class: Option<&Bound<'_, PyAny>>,
        exception: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        self.0.leave(py, exception)?;
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
        self.0.leave(py, exception)?;
        Ready::not_swallowed(py)
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.0.reservation == other.0.reservation
    }

    fn __hash__(&self) -> usize {
        self.0.hash()
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_copied(
            "Reservation",
            "it holds money of this process; pass its id, and ask reservation(id) of the coordinator",
        ))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (number, agent, amount) = (self.number(), self.agent_id(), self.amount(py)?);
        Ok(format!("Reservation({number}, agent={agent:?}, amount={amount}, {})", self.0.state_in_words(py)?))
    }
}

impl Drop for PyReservation {
    fn drop(&mut self) {
        self.0.forget();
    }
}
