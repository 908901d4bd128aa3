//! What the ledger tells, as plain tuples that Python makes into its dataclasses.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use safeguards_core::ledger::{
    Activity, Balance, Event, EventKind, Ledger, Renewal, ResourceSnapshot, Snapshot, Source, Usage,
};

use crate::amount::to_decimal;
use crate::clock::to_datetime;

pub(crate) fn strings(ids: Vec<Arc<str>>) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// granted, remaining, reserved, spent, initial budget, period granted, period spent, priority, active
/// reservations.
pub(crate) fn snapshot<'py>(py: Python<'py>, snapshot: &Snapshot) -> PyResult<Bound<'py, PyTuple>> {
    let decimal = |units| to_decimal(py, units);
    let balance = &snapshot.balance;
    (
        decimal(balance.granted)?,
        decimal(balance.remaining)?,
        decimal(balance.reserved)?,
        decimal(balance.spent)?,
        decimal(snapshot.initial)?,
        decimal(snapshot.period_granted)?,
        decimal(snapshot.period_spent)?,
        snapshot.priority,
        snapshot.reservations,
    )
        .into_pyobject(py)
}

/// end of the period, end of the next one, what later periods begin with.
pub(crate) fn renewal<'py>(py: Python<'py>, renewal: &Renewal) -> PyResult<Bound<'py, PyTuple>> {
    let (ends, next_ends) = (to_datetime(py, renewal.ends)?, to_datetime(py, renewal.next_ends)?);
    (ends, next_ends, to_decimal(py, renewal.budget.units())?).into_pyobject(py)
}

/// spent, remaining, reserved, usages, refusals.
pub(crate) fn activity<'py>(py: Python<'py>, activity: &Activity) -> PyResult<Bound<'py, PyTuple>> {
    let balance = &activity.balance;
    (
        to_decimal(py, balance.spent)?,
        to_decimal(py, balance.remaining)?,
        to_decimal(py, balance.reserved)?,
        activity.usages,
        activity.refusals,
    )
        .into_pyobject(py)
}

/// granted, remaining, reserved, spent, period granted, period spent.
pub(crate) fn resource<'py>(py: Python<'py>, snapshot: &ResourceSnapshot) -> PyResult<Bound<'py, PyTuple>> {
    let Balance { granted, remaining, reserved, spent } = snapshot.balance;
    let units = [granted, remaining, reserved, spent, snapshot.period_granted, snapshot.period_spent];
    let decimals = units.map(|units| to_decimal(py, units));
    PyTuple::new(py, decimals.into_iter().collect::<PyResult<Vec<_>>>()?)
}

/// start, amount, operation type, source, sequence.
pub(crate) fn usage<'py>(py: Python<'py>, ledger: &Ledger, usage: &Usage) -> PyResult<Bound<'py, PyTuple>> {
    let source = match usage.source {
        Source::Ledger => "ledger",
        Source::Recorded => "recorded",
    };
    let operation = ledger.operation_name(usage.operation);
    let (start, amount) = (to_datetime(py, usage.start)?, to_decimal(py, usage.units)?);
    (start, amount, operation.as_deref(), source, usage.sequence).into_pyobject(py)
}

/// time, kind, amount, operation type, sequence.
pub(crate) fn event<'py>(py: Python<'py>, ledger: &Ledger, event: &Event) -> PyResult<Bound<'py, PyTuple>> {
    let operation = ledger.operation_name(event.operation);
    let (at, amount) = (to_datetime(py, event.at)?, to_decimal(py, event.amount.units())?);
    (at, kind(event.kind), amount, operation.as_deref(), event.sequence).into_pyobject(py)
}

const fn kind(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Debit => "debit",
        EventKind::Reserve => "reserve",
        EventKind::Settle => "settle",
        EventKind::LateSettle => "late_settle",
        EventKind::Release => "release",
        EventKind::Expire => "expire",
        EventKind::Update => "update",
        EventKind::Renew => "renew",
        EventKind::PeriodBudget => "period_budget",
        EventKind::Raise => "raise",
        EventKind::Lower => "lower",
        EventKind::TransferOut => "transfer_out",
        EventKind::TransferIn => "transfer_in",
        EventKind::Recorded => "recorded",
    }
}
