//! Charges given back.

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use safeguards_core::ledger::{ChargeId, RefundFault, ReservationId};

use super::PyLedger;
use crate::amount::{grant, to_decimal};
use crate::arguments::shown;
use crate::error::refused_refund;
use crate::receipt::PyReceipt;

#[pymethods]
impl PyLedger {
    /// What `Refund` takes: what was given back now and in all, what remains, and the event.
    fn _refund<'py>(
        &self,
        py: Python<'py>,
        of: &Bound<'py, PyAny>,
        amount: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let core = self.core(py)?;
        let amount = amount.map(|amount| grant(amount, "amount")).transpose()?;
        let receipt = of.cast::<PyReceipt>().ok();
        let text = of.extract::<&str>().ok();
        let of = match (receipt.as_ref().map(|receipt| receipt.get().of(self.books())), text) {
            (Some(Some(receipt)), _) => ChargeId::Receipt(receipt),
            (None, Some(text)) if core.knows_key(text) => ChargeId::Key(text),
            (None, Some(text)) => match text.parse::<ReservationId>() {
                Ok(id) => ChargeId::Reservation(id),
                Err(_) => ChargeId::Key(text),
            },
            (Some(None), _) => return Err(refused_refund(py, &RefundFault::Unknown)),
            (None, None) => {
                let text = "of must be a Receipt, an idempotency key or the id of a reservation";
                return Err(pyo3::exceptions::PyTypeError::new_err(format!("{text}, not {}", shown(of))));
            }
        };
        let refund = self.answer(py, self.ask(py, |core| core.refund(of, amount))?)?;
        let (amount, refunded) = (refund.amount.units(), refund.refunded.units());
        let remaining = to_decimal(py, refund.remaining)?;
        (to_decimal(py, amount)?, to_decimal(py, refunded)?, remaining, refund.sequence).into_pyobject(py)
    }
}
