//! Reservations found again: by their ids, or because they are active.

use pyo3::prelude::*;
use safeguards_core::ledger::{AnyReservation, ReservationId};

use super::PyLedger;
use crate::arguments::{optional_text, text};
use crate::error::no_reservation;
use crate::reservation::PyReservation;
use crate::resource_reservation::PyResourceReservation;

#[pymethods]
impl PyLedger {
    /// The reservation of an id, as `Reservation.id` tells it: active, or ended and remembered.
    ///
    /// It is found while it is active, and afterwards as long as it is among the newest 100,000 that ended.
    /// The handle is another one of the same reservation: whatever is done through one of them holds for all.
    ///
    /// Args:
    ///     reservation_id: of a reservation of money, or of resources.
    ///
    /// Raises:
    ///     ReservationError: it is unknown or forgotten: of another coordinator, of an agent that was
    ///         unregistered, or too long ago. Nothing is charged by it any more.
    ///
    /// Example:
    ///     >>> held = coordinator.reserve("bot", "0.50")
    ///     >>> again = coordinator.reservation(held.id)
    ///     >>> again.settle("0.20").remaining, held.state
    ///     (Decimal('0.8'), 'settled')
    fn reservation<'py>(
        slf: &Bound<'py, Self>,
        #[pyo3(from_py_with = text::reservation_id)] reservation_id: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (this, py) = (slf.get(), slf.py());
        this.core(py)?;
        let id: ReservationId = reservation_id.parse().map_err(|_| no_reservation(py, reservation_id))?;
        let found = this.answer(py, this.ask(py, |core| core.reservation(id))?)?;
        handle(slf, found)
    }

    /// Every active reservation, of money and of resources, by agent and number.
    ///
    /// Args:
    ///     agent_id: those of this agent only.
    ///
    /// Raises:
    ///     UnknownAgentError: no agent of this id is registered.
    ///
    /// Example:
    ///     >>> held = coordinator.reserve("bot", "0.50")
    ///     >>> coordinator.reservations()
    ///     [Reservation(1, agent="bot", amount=0.5, active)]
    ///     >>> held.release()
    ///     >>> coordinator.reservations("bot")
    ///     []
    #[pyo3(signature = (agent_id=None))]
    fn reservations<'py>(
        slf: &Bound<'py, Self>,
        #[pyo3(from_py_with = optional_text::agent_id)] agent_id: Option<&str>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let (this, py) = (slf.get(), slf.py());
        let found = this.ask(py, |core| match agent_id {
            Some(id) => core.agent(id).and_then(|agent| core.reservations(&agent)),
            None => Ok(core.all_reservations()),
        })?;
        this.answer(py, found)?.into_iter().map(|found| handle(slf, found)).collect()
    }
}

fn handle<'py>(ledger: &Bound<'py, PyLedger>, found: AnyReservation) -> PyResult<Bound<'py, PyAny>> {
    let py = ledger.py();
    Ok(match found {
        AnyReservation::Money(made) => PyReservation::found(ledger, made)?.into_pyobject(py)?.into_any(),
        AnyReservation::Resources(made) => {
            PyResourceReservation::found(ledger, made)?.into_pyobject(py)?.into_any()
        }
    })
}
