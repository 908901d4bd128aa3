//! A reservation of several resources as Python holds it: methods, `with`, `async with`, and a warning when it is
//! forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use safeguards_core::ledger::{Bundle, ReservationState, ResourceReservation};

use crate::amounts::{Given, bundle_to_dict, by_resource};
use crate::ledger::{PyLedger, tell_alarms};
use crate::reservation::{Ready, is_cancellation, state_name, warn_dropped, while_dropped};
use crate::resource_receipt::PyResourceReceipt;

/// A reservation that this object alone holds, or one that was made under a key and can be held by others.
pub(crate) enum HeldResources {
    Alone(ResourceReservation),
    Shared(Arc<ResourceReservation>),
}

impl HeldResources {
    /// Whether nobody else holds it but, for a while, the table of keys.
    fn is_last(&self) -> bool {
        match self {
            Self::Alone(_) => true,
            Self::Shared(reservation) => Arc::strong_count(reservation) <= 2,
        }
    }
}

impl std::ops::Deref for HeldResources {
    type Target = ResourceReservation;

    fn deref(&self) -> &ResourceReservation {
        match self {
            Self::Alone(reservation) => reservation,
            Self::Shared(reservation) => reservation,
        }
    }
}

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
pub(crate) struct PyResourceReservation {
    ledger: Py<PyLedger>,
    reservation: HeldResources,
    on_cancel: Bundle,
    /// Settled or released through this object: nothing to warn of.
    closed: AtomicBool,
}

impl PyResourceReservation {
    pub(crate) fn new(ledger: &Bound<'_, PyLedger>, reservation: HeldResources, on_cancel: Bundle) -> Self {
        Self { ledger: ledger.clone().unbind(), reservation, on_cancel, closed: AtomicBool::new(false) }
    }

    fn settle_bundle(&self, py: Python<'_>, charged: &Bundle) -> PyResult<PyResourceReceipt> {
        let this = self.ledger.get();
        let receipt = this.answer(py, this.core(py)?.settle_resources(&self.reservation, charged))?;
        self.closed.store(true, Ordering::Relaxed);
        tell_alarms(self.ledger.bind(py))?;
        Ok(PyResourceReceipt::new(self.ledger.bind(py), receipt))
    }

    fn state_now(&self, py: Python<'_>) -> PyResult<ReservationState> {
        Ok(self.ledger.get().core(py)?.resource_reservation_state(&self.reservation))
    }

    /// Closes what the body of a `with` block left open.
    fn leave(&self, py: Python<'_>, exception: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        if self.closed.load(Ordering::Relaxed) || self.state_now(py)? != ReservationState::Active {
            return Ok(());
        }
        match exception {
            None => self.settle_bundle(py, self.reservation.bundle()).map(|_| ()),
            Some(exception) if is_cancellation(exception)? => {
                self.settle_bundle(py, &self.on_cancel).map(|_| ())
            }
            Some(_) => self.release(py),
        }
    }

    /// `{calls: 1, seconds: 8}`, for people.
    fn in_words(&self) -> String {
        let ledger = &self.ledger.get().ledger;
        let amounts = self.reservation.bundle().iter();
        let words = amounts.map(|(resource, amount)| format!("{}: {amount}", ledger.resource_name(resource)));
        format!("{{{}}}", words.collect::<Vec<_>>().join(", "))
    }

    /// Warns if the reservation is still active: its resources stay set aside until its time is over.
    #[cold]
    fn warn(&self, py: Python<'_>) {
        let Ok(core) = self.ledger.get().core(py) else { return };
        core.let_resources_expire(&self.reservation);
        if core.resource_reservation_state(&self.reservation) == ReservationState::Active {
            let (number, agent, amounts) = (self.number(), self.agent_id(), self.in_words());
            let reservation = format!("reservation {number} of agent {agent:?} ({amounts})");
            warn_dropped(py, &reservation, "resources stay");
        }
    }
}

#[pymethods]
impl PyResourceReservation {
    /// What was set aside, by resource type.
    #[getter]
    fn amounts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        bundle_to_dict(py, &self.ledger.get().ledger, self.reservation.bundle())
    }

    /// Id of the agent that it was made for.
    #[getter]
    fn agent_id(&self) -> &str {
        self.reservation.agent().id()
    }

    /// Its number among the agent's reservations of resources: 1, 2, 3 and so on.
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
    fn receipt(&self, py: Python<'_>) -> Option<PyResourceReceipt> {
        let receipt = self.reservation.settlement()?.clone();
        Some(PyResourceReceipt::new(self.ledger.bind(py), receipt))
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
        let (this, items) = (self.ledger.get(), by_resource(amounts, "amounts")?);
        let (core, mut given) = (this.core(py)?, Given::default());
        given.charge(core, &items, "amounts")?;
        self.settle_bundle(py, this.answer(py, given.bundle(core, self.reservation.agent()))?)
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
        let this = self.ledger.get();
        this.answer(py, this.core(py)?.release_resources(&self.reservation))?;
        self.closed.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let (this, py) = (slf.get(), slf.py());
        let ledger = this.ledger.get();
        ledger.answer(py, ledger.core(py)?.keep_resources_alive(&this.reservation))?;
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

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.ledger)
    }

    fn __eq__(&self, other: &Self) -> bool {
        std::ptr::eq(&raw const *self.reservation, &raw const *other.reservation)
    }

    fn __hash__(&self) -> usize {
        (&raw const *self.reservation).addr() >> 4
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (number, agent, amounts, state) =
            (self.number(), self.agent_id(), self.in_words(), self.state(py)?);
        Ok(format!("ResourceReservation({number}, agent={agent:?}, amounts={amounts}, {state})"))
    }
}

impl Drop for PyResourceReservation {
    fn drop(&mut self) {
        if !*self.closed.get_mut() && self.reservation.is_last() {
            while_dropped(|py| self.warn(py));
        }
    }
}
