//! What the ledger tells, as what Python makes its dataclasses of: metrics by name, and rows of lists as tuples.

use std::sync::Arc;

use numpy::IntoPyArray;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use safeguards_core::clock::Wall;
use safeguards_core::ledger::{
    AccountInfo, Activity, Balance, Columns, Event, EventKind, Kind, Ledger, Money, Note, Period, PoolInfo,
    RefusalCount, Refusals, Renewal, ResourceSnapshot, Schedule, Snapshot, Source, Usage,
};

use crate::amount::to_decimal;
use crate::clock::{to_datetime, to_timedelta};
use crate::rules;

pub(crate) fn strings(ids: Vec<Arc<str>>) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// What `BudgetMetrics` takes.
pub(crate) fn snapshot<'py>(
    py: Python<'py>,
    currency: &str,
    (snapshot, refusals): &(Snapshot, Refusals),
) -> PyResult<Bound<'py, PyDict>> {
    let named = PyDict::new(py);
    set_balance(&named, &snapshot.balance)?;
    named.set_item(intern!(py, "initial_budget"), to_decimal(py, snapshot.initial)?)?;
    named.set_item(intern!(py, "period_granted"), to_decimal(py, snapshot.period_granted)?)?;
    named.set_item(intern!(py, "period_spent"), to_decimal(py, snapshot.period_spent)?)?;
    named.set_item(intern!(py, "priority"), snapshot.priority)?;
    named.set_item(intern!(py, "active_reservations"), snapshot.reservations)?;
    named.set_item(intern!(py, "unpaid"), to_decimal(py, snapshot.unpaid)?)?;
    named.set_item(intern!(py, "refunded"), to_decimal(py, snapshot.refunded)?)?;
    named.set_item(intern!(py, "credits"), to_decimal(py, snapshot.credits)?)?;
    named.set_item(intern!(py, "suspended"), snapshot.is_suspended)?;
    named.set_item(intern!(py, "enforcement"), rules::enforcement_name(snapshot.enforcement))?;
    named.set_item(intern!(py, "would_refuse"), snapshot.would_refuse)?;
    named.set_item(intern!(py, "budget_refusals"), refusals.budget)?;
    named.set_item(intern!(py, "window_refusals"), refusals.window)?;
    named.set_item(intern!(py, "refusals"), refusals.all)?;
    named.set_item(intern!(py, "currency"), currency)?;
    named.set_item(intern!(py, "kept"), to_decimal(py, snapshot.kept)?)?;
    Ok(named)
}

/// What `PoolInfo` takes.
pub(crate) fn pool_info<'py>(py: Python<'py>, info: &PoolInfo) -> PyResult<Bound<'py, PyDict>> {
    let PoolInfo { name, pools, agents, account } = info;
    let named = account_info(py, account, "parent_id")?;
    named.set_item("name", &**name)?;
    named.set_item("pool_ids", PyTuple::new(py, pools.iter().map(|id| &**id))?)?;
    named.set_item("agents", agents)?;
    Ok(named)
}

/// What `AgentInfo` takes.
pub(crate) fn agent_info<'py>(py: Python<'py>, info: &AccountInfo) -> PyResult<Bound<'py, PyDict>> {
    account_info(py, info, "pool_id")
}

fn account_info<'py>(py: Python<'py>, info: &AccountInfo, above: &str) -> PyResult<Bound<'py, PyDict>> {
    let AccountInfo { parent, priority, rules, renewal } = info;
    let named = PyDict::new(py);
    named.set_item(above, parent.as_deref())?;
    named.set_item("priority", priority)?;
    rules::tell(&named, rules)?;
    let schedule = rules.periods.as_ref().map(|periods| &periods.schedule);
    named.set_item("budget_period", schedule.map(|schedule| period(py, schedule.period())).transpose()?)?;
    named.set_item("timezone", schedule.and_then(Schedule::zone))?;
    let ends = renewal.as_ref().filter(|renewal| renewal.ends != Wall::NEVER);
    named.set_item("renews_at", ends.map(|renewal| to_datetime(py, renewal.ends)).transpose()?)?;
    let budget = renewal.as_ref().map(|renewal| to_decimal(py, renewal.budget.units()));
    named.set_item("period_budget", budget.transpose()?)?;
    Ok(named)
}

/// As `create_budget_pool` takes it.
fn period(py: Python<'_>, period: Period) -> PyResult<Bound<'_, PyAny>> {
    let name = match period {
        Period::Hourly => "hourly",
        Period::Daily => "daily",
        Period::Weekly => "weekly",
        Period::Monthly => "monthly",
        Period::Quarterly => "quarterly",
        Period::Yearly => "yearly",
        Period::Every(nanos) => return Ok(to_timedelta(py, nanos)?.into_any()),
    };
    Ok(PyString::new(py, name).into_any())
}

/// What `MetricsTable` takes: columns of amounts, and all others.
pub(crate) fn columns(py: Python<'_>, columns: Columns) -> PyResult<Bound<'_, PyTuple>> {
    let (amounts, named) = (PyDict::new(py), PyDict::new(py));
    named.set_item("ids", PyList::new(py, columns.ids.iter().map(|id| &**id))?)?;
    named.set_item("is_pool", columns.is_pool.into_pyarray(py))?;
    named.set_item("priority", columns.priority.into_pyarray(py))?;
    for (name, money) in [
        ("granted", columns.granted),
        ("remaining", columns.remaining),
        ("kept", columns.kept),
        ("reserved", columns.reserved),
        ("spent", columns.spent),
        ("period_granted", columns.period_granted),
        ("period_spent", columns.period_spent),
        ("credits", columns.credits),
    ] {
        let Money { whole, billionths, rounded } = money;
        let exact = (whole.into_pyarray(py), billionths.into_pyarray(py));
        amounts.set_item(name, (exact.0, exact.1, rounded.into_pyarray(py)))?;
    }
    named.set_item("active_reservations", columns.reservations.into_pyarray(py))?;
    named.set_item("budget_refusals", columns.budget_refusals.into_pyarray(py))?;
    named.set_item("window_refusals", columns.window_refusals.into_pyarray(py))?;
    named.set_item("refusals", columns.refusals.into_pyarray(py))?;
    (amounts, named).into_pyobject(py)
}

fn set_balance(named: &Bound<'_, PyDict>, balance: &Balance) -> PyResult<()> {
    let (py, Balance { granted, remaining, reserved, spent }) = (named.py(), *balance);
    named.set_item(intern!(py, "granted"), to_decimal(py, granted)?)?;
    named.set_item(intern!(py, "remaining"), to_decimal(py, remaining)?)?;
    named.set_item(intern!(py, "reserved"), to_decimal(py, reserved)?)?;
    named.set_item(intern!(py, "spent"), to_decimal(py, spent)?)
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

/// What `ResourceMetrics` takes.
pub(crate) fn resource<'py>(py: Python<'py>, snapshot: &ResourceSnapshot) -> PyResult<Bound<'py, PyDict>> {
    let named = PyDict::new(py);
    set_balance(&named, &snapshot.balance)?;
    named.set_item(intern!(py, "period_granted"), to_decimal(py, snapshot.period_granted)?)?;
    named.set_item(intern!(py, "period_spent"), to_decimal(py, snapshot.period_spent)?)?;
    Ok(named)
}

/// start, amount, operation type, source, sequence.
pub(crate) fn usage<'py>(py: Python<'py>, ledger: &Ledger, usage: &Usage) -> PyResult<Bound<'py, PyTuple>> {
    let source = match usage.source {
        Source::Ledger => "ledger",
        Source::Recorded => "recorded",
        Source::Unpaid => "unpaid",
    };
    let operation = ledger.operation_name(usage.operation);
    let (start, amount) = (to_datetime(py, usage.start)?, to_decimal(py, usage.units)?);
    (start, amount, operation.as_deref(), source, usage.sequence).into_pyobject(py)
}

/// time, kind, amount, operation type, sequence.
pub(crate) fn event<'py>(
    py: Python<'py>,
    ledger: &Ledger,
    (event, note): &(Event, Option<Note>),
) -> PyResult<Bound<'py, PyTuple>> {
    let operation = ledger.operation_name(event.operation);
    let (at, amount) = (to_datetime(py, event.at)?, to_decimal(py, event.amount.units())?);
    let (actor, reason) = note.as_ref().map(|note| (&*note.actor, &*note.reason)).unzip();
    (at, kind(event.kind), amount, operation.as_deref(), event.sequence, actor, reason).into_pyobject(py)
}

const fn kind(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Debit => "debit",
        EventKind::Reserve => "reserve",
        EventKind::Settle => "settle",
        EventKind::DefaultSettle => "default_settle",
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
        EventKind::Suspend => "suspend",
        EventKind::Resume => "resume",
        EventKind::Enforcement => "enforcement",
        EventKind::Priority => "priority",
        EventKind::Move => "move",
        EventKind::MaxBudget => "max_budget",
        EventKind::WouldRefuse => "would_refuse",
        EventKind::OverdraftLimit => "overdraft_limit",
        EventKind::Unpaid => "unpaid",
        EventKind::Refund => "refund",
        EventKind::Credit => "credit",
        EventKind::CreditEnd => "credit_end",
    }
}

/// Refusals of one account to one agent.
pub(crate) fn refusal_count<'py>(
    py: Python<'py>,
    ledger: &Ledger,
    told: &RefusalCount,
) -> PyResult<Bound<'py, PyTuple>> {
    let operation = ledger.operation_name(told.operation);
    (
        told.kind == Kind::Pool,
        &*told.account,
        told.asked_by.as_deref(),
        operation.as_deref(),
        told.reason.name(),
        told.count,
    )
        .into_pyobject(py)
}
