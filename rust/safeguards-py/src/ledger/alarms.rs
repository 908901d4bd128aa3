//! Telling whoever watches the books: thresholds crossed, agents that run low.

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyWeakrefMethods, PyWeakrefReference};
use safeguards_core::ledger::{Alarm, Crossing, Kind, Ledger, LedgerError, Refusing, Unpaid, Warning};

use super::{Books, PyLedger};
use crate::amount::to_decimal;

/// Tells the observer of each alarm, after the books are written. An `Exception` never fails a debit. What ends a
/// program, such as `KeyboardInterrupt`, is raised when all alarms are told.
#[inline]
pub(crate) fn tell_alarms(ledger: &Bound<'_, PyLedger>) -> PyResult<()> {
    if ledger.get().ledger.has_alarms() { tell_all(ledger) } else { Ok(()) }
}

/// As [`tell_alarms`], for an owner who may be gone: then nobody is told.
#[inline]
pub(crate) fn tell_alarms_of(books: &Books, owner: &Bound<'_, PyWeakrefReference>) -> PyResult<()> {
    if !books.ledger.has_alarms() {
        return Ok(());
    }
    let ledger = owner.upgrade_as::<PyLedger>()?;
    ledger.map_or(Ok(()), |ledger| tell_all(&ledger))
}

/// What the core answered. A refusal may have set off an alarm, which is told before it is raised.
#[inline]
pub(crate) fn answer_told<R>(ledger: &Bound<'_, PyLedger>, outcome: Result<R, LedgerError>) -> PyResult<R> {
    let answer = ledger.get().answer(ledger.py(), outcome);
    if answer.is_err() { tell_alarms(ledger).and(answer) } else { answer }
}

#[cold]
fn tell_all(ledger: &Bound<'_, PyLedger>) -> PyResult<()> {
    let (this, py) = (ledger.get(), ledger.py());
    let alarms = this.ledger.take_alarms();
    let Some(observer) = &this.observer else { return Ok(()) };
    let mut ended = Ok(());
    for alarm in alarms {
        match tell(&this.ledger, observer.bind(py), &alarm) {
            Err(error) if ended.is_ok() && !error.is_instance_of::<PyException>(py) => ended = Err(error),
            Err(error) => error.write_unraisable(py, Some(ledger)),
            Ok(()) => (),
        }
    }
    ended
}

fn tell(ledger: &Ledger, observer: &Bound<'_, PyAny>, alarm: &Alarm) -> PyResult<()> {
    let py = observer.py();
    match alarm {
        Alarm::Crossing(crossing) => {
            observer.call_method(intern!(py, "on_crossing"), (), Some(&facts(py, crossing)?))
        }
        Alarm::Refusing(refusing) => {
            observer.call_method(intern!(py, "on_refusing"), (), Some(&refusals(py, ledger, refusing)?))
        }
        Alarm::WouldRefuse(warning) => {
            observer.call_method(intern!(py, "on_would_refuse"), (), Some(&warned(py, warning)?))
        }
        Alarm::Unpaid(unpaid) => {
            observer.call_method(intern!(py, "on_unpaid"), (), Some(&not_paid(py, ledger, unpaid)?))
        }
        Alarm::Low { agent, .. } => observer.call_method1(intern!(py, "on_low"), (&**agent,)),
    }
    .map(drop)
}

fn kind_name(kind: Kind) -> &'static str {
    if kind == Kind::Pool { "pool" } else { "agent" }
}

fn warned<'py>(py: Python<'py>, warning: &Warning) -> PyResult<Bound<'py, PyDict>> {
    let facts = PyDict::new(py);
    facts.set_item("kind", kind_name(warning.kind))?;
    facts.set_item("account", &*warning.account)?;
    facts.set_item("requested", to_decimal(py, warning.requested.units())?)?;
    facts.set_item("available", to_decimal(py, warning.balance.remaining)?)?;
    Ok(facts)
}

fn not_paid<'py>(py: Python<'py>, ledger: &Ledger, unpaid: &Unpaid) -> PyResult<Bound<'py, PyDict>> {
    let facts = PyDict::new(py);
    facts.set_item("account", &*unpaid.agent)?;
    facts.set_item("charged", to_decimal(py, unpaid.charged.units())?)?;
    facts.set_item("unpaid", to_decimal(py, unpaid.unpaid.units())?)?;
    facts.set_item("operation_type", ledger.operation_name(unpaid.operation).as_deref())?;
    Ok(facts)
}

fn facts<'py>(py: Python<'py>, crossing: &Crossing) -> PyResult<Bound<'py, PyDict>> {
    let is_pool = crossing.kind == Kind::Pool;
    let kind = match (&crossing.resource, is_pool) {
        (Some(_), true) => "capacity",
        (None, true) => "pool",
        (_, false) => "agent",
    };
    let facts = PyDict::new(py);
    facts.set_item("kind", kind)?;
    // A capacity belongs to no account that anybody registered.
    facts.set_item("account", (kind != "capacity").then_some(&*crossing.account))?;
    facts.set_item("resource", crossing.resource.as_deref())?;
    facts.set_item("threshold", f64::from(crossing.threshold.0) / 1e6)?;
    facts.set_item("granted", to_decimal(py, crossing.period_granted)?)?;
    facts.set_item("spent", to_decimal(py, crossing.period_spent)?)?;
    Ok(facts)
}

fn refusals<'py>(py: Python<'py>, ledger: &Ledger, refusing: &Refusing) -> PyResult<Bound<'py, PyDict>> {
    let facts = PyDict::new(py);
    facts.set_item("kind", if refusing.kind == Kind::Pool { "pool" } else { "agent" })?;
    facts.set_item("account", &*refusing.account)?;
    facts.set_item("refusals", refusing.count)?;
    facts.set_item("asked_by", &*refusing.asked_by)?;
    facts.set_item("operation_type", ledger.operation_name(refusing.operation).as_deref())?;
    Ok(facts)
}
