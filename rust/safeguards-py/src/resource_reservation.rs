//! A reservation of several resources as Python holds it.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use safeguards_core::ledger::{Bundle, Once, Reservation};

use crate::amounts::{Given, bundle_to_dict, by_resource};
use crate::arguments::{not_copied, ttl_seconds};
use crate::handle::{Handle, Holder, Leaving, Ready, Reservable};
use crate::ledger::PyLedger;
use crate::resource_receipt::PyResourceReceipt;

/// Resources set aside for a piece of work: made by `reserve`, closed by `settle`, `release` or time.
///
/// Works with `with` and `async with`; see `MultiResourceBudget.reserve`. One that is dropped while it is
/// active stays set aside until its time to live is over, and warns with a `ResourceWarning`. Two of one
/// reservation, as repetitions with an idempotency key return, are equal.
///
/// Example:
///     >>> reservation = multi_resource.reserve("bot", {"calls": 1, "seconds": 8})
///     >>> multi_resource.get_budget("bot", "seconds")
///     Decimal('2')
///     >>> reservation.settle({"calls": 1, "seconds": "2.5"}).remaining["seconds"]
///     Decimal('7.5')
///     >>> reservation
///     ResourceReservation(1, agent="bot", amounts={calls: 1, seconds: 8}, settled)
#[pyclass(frozen, weakref, module = "safeguards._native", name = "ResourceReservation")]
pub(crate) struct PyResourceReservation(Handle<Bundle>);

impl PyResourceReservation {
    pub(crate) fn new(
        ledger: &Bound<'_, PyLedger>,
        reservation: Once<Reservation<Bundle>>,
        leaving: Leaving<Bundle>,
        holder: Holder,
    ) -> PyResult<Self> {
        Handle::new(ledger, reservation, leaving, holder).map(Self)
    }

    /// A handle of a reservation that was made before.
    pub(crate) fn found(ledger: &Bound<'_, PyLedger>, reservation: Reservation<Bundle>) -> PyResult<Self> {
        Self::new(ledger, Once::first(reservation), Leaving::default(), Holder::Finder)
    }

    pub(crate) fn once_told(self, py: Python<'_>, told: PyResult<()>) -> PyResult<Self> {
        self.0.once_told(py, told).map(|()| self)
    }
}

#[pymethods]
impl PyResourceReservation {
    /// What was set aside, by resource type.
    #[getter]
    fn amounts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        bundle_to_dict(py, &self.0.books().ledger, self.0.reservation.what())
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

    /// Its number among the agent's reservations, of money or resources: 1, 2, 3 and so on.
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
    /// settling it for the same amounts has no effect.
    #[getter]
    const fn is_repeat(&self) -> bool {
        self.0.is_repeat()
    }

    /// What it was settled for; None if it was not.
    #[getter]
    fn receipt(&self, py: Python<'_>) -> PyResult<Option<PyResourceReceipt>> {
        Ok(self.0.receipt(py)?.map(|receipt| PyResourceReceipt::new(self.0.books(), Once::first(receipt))))
    }

    /// Charges what the work has taken and gives the rest back, of all resources in one step.
    ///
    /// A repetition with the same amounts has no effect. After the time to live is over it still charges what
    /// it is told, under the overage policy, as a late settlement: what was spent is a fact.
    ///
    /// Args:
    ///     amounts: what it has taken of each resource type; nothing of those that are not named. More than 9
    ///         decimal places are rounded up. It may name resources of the agent that were not reserved:
    ///         then all of it is beyond what was reserved.
    ///
    /// Raises:
    ///     InvalidAmountError: an amount is not one.
    ///     UnknownResourceError: the agent has no budget for one of the resources.
    ///     ReservationError: it was released, or settled for other amounts.
    ///     BudgetExceededError: it took more of a resource than was reserved, and the overage policy refuses;
    ///         it stays active.
    ///
    /// Example:
    ///     >>> reservation = multi_resource.reserve("bot", {"calls": 1, "seconds": 8})
    ///     >>> reservation.settle({"seconds": "2.5"}).amounts
    ///     {'calls': Decimal('0'), 'seconds': Decimal('2.5')}
    ///     >>> reservation.settle({"seconds": 3})
    ///     Traceback (most recent call last):
    ///     safeguards.exceptions.ReservationError: reservation 1 of agent "bot" was settled for {calls: 0,...
    fn settle(&self, py: Python<'_>, amounts: &Bound<'_, PyAny>) -> PyResult<PyResourceReceipt> {
        let (books, items) = (self.0.books(), by_resource(amounts, "amounts")?);
        let (core, mut given) = (books.core(py)?, Given::default());
        given.charge(core, &items, "amounts")?;
        let charged = books.answer(py, given.bundle(core, self.0.reservation.agent()))?;
        Ok(PyResourceReceipt::new(books, Once::first(self.0.settle(py, charged)?)))
    }

    /// Gives back all that was set aside. A repetition, or one that has expired, changes nothing.
    ///
    /// Raises:
    ///     ReservationError: it was settled.
    ///
    /// Example:
    ///     >>> reservation = multi_resource.reserve("bot", {"calls": 1, "seconds": 8})
    ///     >>> reservation.release()
    ///     >>> reservation.state, multi_resource.get_budget("bot", "seconds")
    ///     ('released', Decimal('10'))
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
    ///     >>> reservation = multi_resource.reserve("bot", {"calls": 1}, ttl_seconds=60)
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
            "ResourceReservation",
            "it holds resources of this process; pass its id, and ask reservation(id) of the coordinator",
        ))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (number, agent, state) = (self.number(), self.agent_id(), self.0.state_in_words(py)?);
        let amounts = self.0.reservation.what().in_words(&self.0.books().ledger);
        Ok(format!("ResourceReservation({number}, agent={agent:?}, amounts={amounts}, {state})"))
    }
}

impl Drop for PyResourceReservation {
    fn drop(&mut self) {
        self.0.forget();
    }
}
