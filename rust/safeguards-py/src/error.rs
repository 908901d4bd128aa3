//! One map from the core's errors to the tree in `safeguards.exceptions`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use safeguards_core::amount::{Amount, Units};
use safeguards_core::clock::{Clock, Wall};
use safeguards_core::ledger::{BudgetRefusal, Closed, Kind, LedgerError, WindowRefusal};

use crate::amount::to_decimal;

static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

/// An exception of the tree, by name, with its message and fields.
pub(crate) fn exception(py: Python<'_>, name: &str, message: String, fields: &Bound<'_, PyDict>) -> PyErr {
    let module = MODULE.get_or_try_init(py, || PyResult::Ok(py.import("safeguards.exceptions")?.unbind()));
    let raised = module.and_then(|module| module.bind(py).getattr(name)?.call((message,), Some(fields)));
    raised.map_or_else(|error| error, PyErr::from_value)
}

/// A `ConfigurationError`.
pub(crate) fn configuration_error(py: Python<'_>, message: impl Into<String>) -> PyErr {
    exception(py, "ConfigurationError", message.into(), &PyDict::new(py))
}

/// The exception that says what the core said, and what to do next.
#[cold]
pub(crate) fn to_py(py: Python<'_>, error: LedgerError, clock: &Clock) -> PyErr {
    build(py, error, clock).unwrap_or_else(|failed| failed)
}

fn build(py: Python<'_>, error: LedgerError, clock: &Clock) -> PyResult<PyErr> {
    let fields = PyDict::new(py);
    let (name, message) = match error {
        LedgerError::UnknownAgent(id) => {
            fields.set_item("account", &*id)?;
            ("UnknownAgentError", format!("no agent {id:?} is registered: call register_agent first"))
        }
        LedgerError::UnknownPool(id) => {
            fields.set_item("account", &*id)?;
            ("UnknownPoolError", format!("no pool {id:?} exists: call create_budget_pool first"))
        }
        LedgerError::UnknownHandle(handle) => (
            "UnknownAgentError",
            format!("handle {handle} names no registered agent: ask handle(agent_id) for the current one"),
        ),
        LedgerError::Configuration(text) => ("ConfigurationError", text),
        LedgerError::IdempotencyConflict(key) => {
            fields.set_item("idempotency_key", &*key)?;
            let text =
                "was used for another agent, amount or operation type: use a new key for a new operation";
            ("IdempotencyConflictError", format!("idempotency key {key:?} {text}"))
        }
        LedgerError::ReservationClosed { account, number, closed } => {
            ("ReservationError", closed_reservation(&fields, &account, number, closed)?)
        }
        LedgerError::BudgetExceeded(refusal) => {
            ("BudgetExceededError", refused_budget(&fields, &refusal, clock)?)
        }
        LedgerError::OverReserved { refusal, reserved } => {
            ("BudgetExceededError", over_reserved(&fields, &refusal, reserved)?)
        }
        LedgerError::RateLimitExceeded(refusal) => {
            ("RateLimitExceededError", refused_window(&fields, &refusal)?)
        }
    };
    Ok(exception(py, name, message, &fields))
}

fn closed_reservation(
    fields: &Bound<'_, PyDict>,
    account: &str,
    number: u64,
    closed: Closed,
) -> PyResult<String> {
    let (state, text) = match closed {
        Closed::Settled(receipt) => {
            let text =
                format!("was settled for {} before: what it cost beyond can be debited", receipt.amount);
            ("settled", text)
        }
        Closed::Released => ("released", "was released before: what it cost since can be debited".into()),
        Closed::Expired => ("expired", "has expired: reserve again, with a longer ttl_seconds".into()),
    };
    fields.set_item("account", account)?;
    fields.set_item("reservation", number)?;
    fields.set_item("state", state)?;
    Ok(format!("reservation {number} of agent {account:?} {text}"))
}

fn refused_budget(fields: &Bound<'_, PyDict>, refusal: &BudgetRefusal, clock: &Clock) -> PyResult<String> {
    let BudgetRefusal { account, balance, requested, .. } = refusal;
    let (limit, spent) = (balance.granted - refusal.spent_before, balance.spent - refusal.spent_before);
    set_amounts(fields, account, limit, spent, balance.reserved, *requested)?;
    fields.set_item("budget", to_decimal(fields.py(), balance.remaining)?)?;
    fields.set_item("available", to_decimal(fields.py(), balance.remaining.max(0))?)?;
    let (name, advice) = match refusal.kind {
        Kind::Agent => ("agent", "raise it with update_budget or transfer".to_owned()),
        Kind::Pool if refusal.renews_at == Wall::NEVER => {
            ("pool", "raise it with update_pool_budget".to_owned())
        }
        Kind::Pool => {
            let wait = seconds(refusal.renews_at.0.saturating_sub(clock.wall().0).max(0));
            fields.set_item("retry_after", wait)?;
            ("pool", format!("it is granted anew in {wait:.0} s"))
        }
    };
    Ok(format!(
        "{name} {account:?} cannot pay {}: {} of {} remain ({} spent, {} reserved); {advice}",
        Units(*requested),
        Units(balance.remaining),
        Units(limit),
        Units(spent),
        Units(balance.reserved),
    ))
}

fn over_reserved(fields: &Bound<'_, PyDict>, refusal: &BudgetRefusal, reserved: Amount) -> PyResult<String> {
    let BudgetRefusal { account, balance, requested, .. } = refusal;
    let (limit, spent) = (balance.granted - refusal.spent_before, balance.spent - refusal.spent_before);
    set_amounts(fields, account, limit, spent, reserved.units(), *requested)?;
    fields.set_item("budget", to_decimal(fields.py(), balance.remaining)?)?;
    fields.set_item("available", to_decimal(fields.py(), reserved.units())?)?;
    Ok(format!(
        "agent {account:?} reserved {reserved} and cannot settle {}: its overage policy is \"reject\"; settle at \
         most {reserved} and debit the rest",
        Units(*requested),
    ))
}

fn refused_window(fields: &Bound<'_, PyDict>, refusal: &WindowRefusal) -> PyResult<String> {
    let WindowRefusal { account, limit, spent, reserved, requested, .. } = refusal;
    set_amounts(fields, account, limit.units(), *spent, *reserved, requested.units())?;
    let available = (limit.units() - spent - reserved).max(0);
    fields.set_item("available", to_decimal(fields.py(), available)?)?;
    fields.set_item("time_window", seconds(refusal.length))?;
    let retry_after = refusal.fits_at.map(|at| at.since(refusal.now));
    fields.set_item("retry_after", retry_after.map_or(f64::INFINITY, seconds))?;
    let advice = retry_after
        .map_or("it can never fit: lower the amount or raise the limit".into(), |nanos| {
            format!("it fits in {} s", seconds(nanos))
        });
    Ok(format!(
        "agent {account:?} may spend {limit} in {} s and cannot spend {requested} now ({} spent, {} reserved); {advice}",
        seconds(refusal.length),
        Units(*spent),
        Units(*reserved),
    ))
}

fn set_amounts(
    fields: &Bound<'_, PyDict>,
    account: &str,
    limit: i128,
    spent: i128,
    reserved: i128,
    requested: i128,
) -> PyResult<()> {
    fields.set_item("account", account)?;
    for (name, units) in
        [("limit", limit), ("spent", spent), ("reserved", reserved), ("requested", requested)]
    {
        fields.set_item(name, to_decimal(fields.py(), units)?)?;
    }
    Ok(())
}

/// Nanoseconds as seconds, for people and for `sleep`.
#[expect(clippy::cast_precision_loss, reason = "exact to the nanosecond for the first hundred days")]
pub(crate) fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}
