//! `safeguards._native`: the core as Python sees it. Conversion, one error map, thin bodies; no logic.

#![allow(
    clippy::needless_pass_by_value,
    clippy::unused_self,
    reason = "methods have the signatures that Python calls"
)]
#![allow(
    clippy::doc_markdown,
    clippy::doc_link_with_quotes,
    reason = "docstrings, which Python's help() shows: Google style, with examples"
)]
#![deny(unsafe_op_in_unsafe_fn)]

mod account;
mod allocation;
mod amount;
mod amounts;
mod arguments;
mod array;
mod clock;
mod cost_benefit;
mod decimal_layout;
mod empty;
mod error;
mod execute;
mod fair_shares;
mod forecast;
mod fork;
mod handle;
mod ledger;
mod next_hour;
mod patience;
mod pending;
mod rate_limiter;
mod receipt;
mod reports;
mod reservation;
mod resource_receipt;
mod resource_reservation;
mod resources;
mod rl;
mod rules;
mod sharing;
mod time_zones;
mod turn;
mod waiting;
mod watched;

use pyo3::prelude::*;

/// The compiled core.
#[pymodule]
mod _native {
    /// Of the package and of all crates of it.
    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "as Python writes it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_export]
    use crate::account::PyAccount;
    #[pymodule_export]
    use crate::allocation::{PyAgents, PySelector, PyStrategy, simulate_allocation};
    #[pymodule_export]
    use crate::amount::{amount_units, reads_decimals_in_place};
    #[pymodule_export]
    use crate::clock::{PyManualClock, PySystemClock};
    #[pymodule_export]
    use crate::cost_benefit::split_budget;
    #[pymodule_export]
    use crate::empty::Empty;
    #[pymodule_export]
    use crate::execute::execute_decision;
    #[pymodule_export]
    use crate::fair_shares::{PyFairAllocation, fair_tasks};
    #[pymodule_export]
    use crate::forecast::{PyUsageLearner, forecast_usage};
    #[pymodule_export]
    use crate::handle::Ready;
    #[pymodule_export]
    use crate::ledger::PyLedger;
    #[pymodule_export]
    use crate::next_hour::PyNextHour;
    #[pymodule_export]
    use crate::pending::{PyPendingDebit, PyPendingReservation};
    #[pymodule_export]
    use crate::rate_limiter::PyRateLimiter;
    #[pymodule_export]
    use crate::receipt::PyReceipt;
    #[pymodule_export]
    use crate::reservation::PyReservation;
    #[pymodule_export]
    use crate::resource_receipt::PyResourceReceipt;
    #[pymodule_export]
    use crate::resource_reservation::PyResourceReservation;
    #[pymodule_export]
    use crate::resources::PyResourceBudgets;
    #[pymodule_export]
    use crate::rl::{PyQTable, best_budgets};
    #[pymodule_export]
    use crate::sharing::{PyMembers, max_min_shares};
    #[pymodule_export]
    use crate::time_zones::{check_local_time_zone, time_zone_name, time_zone_rules};
    #[pymodule_export]
    use crate::turn::PyTurn;
    #[pymodule_export]
    use crate::waiting::PyWaiter;
}
