//! Exact, concurrent budgets.
//!
//! A [`ledger::Ledger`] holds accounts: agents, and the pools above them. A debit passes through the whole path
//! from an agent to its topmost pool, all accounts or none; a reservation sets money aside the same way and is
//! settled for what the work has cost. [`window`]s bound what an agent spends in any stretch of time.
//! A [`portfolio`] splits an amount by what it returns.
//! Amounts are exact ([`amount`]), time is injected ([`clock`]). Nothing here knows of Python.

#![forbid(unsafe_code)]

pub mod allocation;
pub mod amount;
pub mod clock;
pub mod forecast;
pub mod ledger;
pub mod portfolio;
pub mod rl;
pub mod sharing;
pub mod window;
pub mod workers;

mod sync;
