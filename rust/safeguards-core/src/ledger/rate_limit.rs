//! The sliding windows of an agent.
//!
//! An active reservation is held in every window of its agent until it is settled, and what it settles for is
//! charged then: a window counts what was *spent* in the last stretch of time, and never lets go of money that
//! is about to be. So a window needs no books of its own for reservations: what it holds is what the agent has
//! reserved.

use super::Ledger;
use super::account::{Account, Holds, Limits, State};
use super::error::{LedgerError, WindowRefusal};
use super::event::EventKind;
use super::operation::OperationId;
use crate::amount::Amount;
use crate::clock::Monotonic;
use crate::window::{MAX_LENGTH_NANOS, MAX_LIMIT_UNITS, MIN_LENGTH_NANOS, Precision, Window};

/// A window at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSnapshot {
    /// Its length in nanoseconds.
    pub length: i64,
    /// The most that it admits.
    pub limit: Amount,
    /// Units charged within it.
    pub spent: i128,
}

impl Ledger {
    /// Admits at most `limit` within any `length` nanoseconds. A window of the same length is replaced, and what
    /// was charged to it stays charged; another length adds a window.
    pub fn set_rate_limit(
        &self,
        agent: &str,
        limit: Amount,
        length: i64,
        precision: Precision,
    ) -> Result<(), LedgerError> {
        if !(MIN_LENGTH_NANOS..=MAX_LENGTH_NANOS).contains(&length) {
            let text = "time_window must be between 1 microsecond and 366 days";
            return Err(LedgerError::Configuration(text.into()));
        }
        if limit.units() > MAX_LIMIT_UNITS {
            let text = "a rate limit must not be more than 10000000000 (10^10)";
            return Err(LedgerError::Configuration(text.into()));
        }
        self.with_open_agent(agent, |state| {
            let windows = &mut state.limits.get_or_insert_default().windows;
            if let Some(window) = windows.iter_mut().find(|window| window.length() == length) {
                window.set_limit(limit, precision);
            } else {
                windows.reserve_exact(1); // Most agents have one.
                windows.push(Window::new(length, limit, precision));
            }
            windows.sort_unstable_by_key(Window::length);
        })
    }

    /// Removes the window of this length, or all of them. Returns how many there were.
    pub fn remove_rate_limit(&self, agent: &str, length: Option<i64>) -> Result<usize, LedgerError> {
        self.with_open_agent(agent, |state| {
            let Some(limits) = &mut state.limits else { return 0 };
            let before = limits.windows.len();
            limits.windows.retain(|window| length.is_some_and(|length| length != window.length()));
            before - limits.windows.len()
        })
    }

    /// Whether `amount` fits into every window of the agent now. Charges nothing.
    pub fn check_rate_limit(&self, agent: &str, amount: Amount) -> Result<(), LedgerError> {
        self.directory.with_agent(agent, |agent| {
            self.retry_after_expiry(|| {
                let mut state = agent.lock();
                state.check_open(agent)?;
                let windows_at = state.windows_at(self);
                Ok(windows_at.map_or(Ok(()), |at| state.check_windows(agent, at, amount))?)
            })
        })
    }

    /// Charges `amount` to every window of the agent if it fits into all of them. No budget is touched.
    #[inline]
    pub fn acquire(&self, agent: &str, amount: Amount) -> Result<(), LedgerError> {
        self.directory.with_agent(agent, |agent| {
            self.retry_after_expiry(|| {
                let mut state = agent.lock();
                state.check_open(agent)?;
                let windows_at = state.windows_at(self);
                windows_at.map_or(Ok(()), |at| state.check_windows(agent, at, amount))?;
                state.charge_windows(windows_at, amount);
                Ok(())
            })
        })
    }

    /// States that `amount` was spent elsewhere: charges every window, whether it fits or not, and adds to the
    /// usage history. No budget is touched.
    pub fn record_usage(
        &self,
        agent: &str,
        amount: Amount,
        operation: OperationId,
    ) -> Result<(), LedgerError> {
        let now = self.clock.wall();
        self.with_open_agent(agent, |state| {
            if !amount.is_zero() {
                let windows_at = state.windows_at(self);
                state.write_usage(self, windows_at, EventKind::Recorded, amount, operation, now);
            }
        })
    }

    /// Nanoseconds until `amount` fits if nothing else happens, or what was refused last if no amount is given:
    /// zero if it fits, if nothing was refused, or without a limit; `None` if it can never fit.
    pub fn retry_after(&self, agent: &str, amount: Option<Amount>) -> Result<Option<i64>, LedgerError> {
        self.expire_due();
        self.with_open_agent(agent, |state| {
            let Some(limits) = &mut state.limits else { return Some(0) };
            let now = self.clock.monotonic();
            let amount = amount.unwrap_or(limits.last_refused);
            limits.fits_at(now, state.holds.as_deref(), amount).map(|at| at.since(now))
        })
    }

    /// Every window of the agent, shortest first.
    pub fn windows(&self, agent: &str) -> Result<Vec<WindowSnapshot>, LedgerError> {
        let now = self.clock.monotonic();
        self.with_open_agent(agent, |state| {
            let windows = state.limits.iter_mut().flat_map(|limits| &mut limits.windows);
            let snapshot = |window: &mut Window| WindowSnapshot {
                length: window.length(),
                limit: window.limit(),
                spent: window.spent(now),
            };
            windows.map(snapshot).collect()
        })
    }

    fn with_open_agent<R>(&self, agent: &str, act: impl FnOnce(&mut State) -> R) -> Result<R, LedgerError> {
        self.directory.with_agent(agent, |agent| {
            let mut state = agent.lock();
            state.check_open(agent)?;
            Ok(act(&mut state))
        })
    }
}

impl State {
    /// The time for the agent's windows, if it has any: reading the clock costs as much as a lock.
    #[inline]
    pub(super) fn windows_at(&self, ledger: &Ledger) -> Option<Monotonic> {
        let has_windows = self.limits.as_deref().is_some_and(|limits| !limits.windows.is_empty());
        has_windows.then(|| ledger.clock.monotonic())
    }

    /// Whether `amount` fits into every window of the agent, beside what is reserved.
    #[inline]
    pub(super) fn fits(&mut self, now: Monotonic, amount: Amount) -> bool {
        let held = self.books.balance.reserved;
        let mut windows = self.limits.iter_mut().flat_map(|limits| &mut limits.windows);
        amount.is_zero() || windows.all(|window| window.fits(now, held, amount))
    }

    /// Refuses what does not fit into one of the agent's windows, beside what is reserved.
    #[inline]
    pub(super) fn check_windows(
        &mut self,
        agent: &Account,
        now: Monotonic,
        amount: Amount,
    ) -> Result<(), WindowRefusal> {
        let held = self.books.balance.reserved;
        let Some(limits) = self.limits.as_deref_mut().filter(|_| !amount.is_zero()) else { return Ok(()) };
        match limits.windows.iter_mut().position(|window| !window.fits(now, held, amount)) {
            None => Ok(()),
            Some(full) => Err(limits.refusal(full, now, held, self.holds.as_deref(), agent, amount)),
        }
    }

    /// Charges `amount` to every window of the agent.
    #[inline]
    pub(super) fn charge_windows(&mut self, windows_at: Option<Monotonic>, amount: Amount) {
        if let (Some(now), Some(limits)) = (windows_at, self.limits.as_deref_mut())
            && !amount.is_zero()
        {
            limits.windows.iter_mut().for_each(|window| window.charge(now, amount));
        }
    }
}

impl Limits {
    #[cold]
    fn refusal(
        &mut self,
        full: usize,
        now: Monotonic,
        held: i128,
        holds: Option<&Holds>,
        agent: &Account,
        amount: Amount,
    ) -> WindowRefusal {
        self.last_refused = amount;
        let fits_at = self.fits_at(now, holds, amount);
        let window = &mut self.windows[full];
        WindowRefusal {
            account: agent.id().clone(),
            limit: window.limit(),
            spent: window.spent(now),
            reserved: held,
            requested: amount,
            length: window.length(),
            now,
            fits_at,
        }
    }

    /// When `amount` fits into all windows at once, if nothing else happens.
    fn fits_at(&mut self, now: Monotonic, holds: Option<&Holds>, amount: Amount) -> Option<Monotonic> {
        if amount.is_zero() {
            return Some(now); // Nothing is always admitted, even beyond the limit.
        }
        // What leaves a window never comes back by itself: it fits from the latest of the times on.
        self.windows.iter_mut().try_fold(now, |at, window| {
            // Work that keeps its reservation alive has no deadline; it is taken to end within one window.
            let latest = now.plus(window.length());
            let reservations = holds.iter().flat_map(|holds| &holds.reservations);
            let holds = reservations.map(|((deadline, _), held)| match *deadline {
                Monotonic::NEVER => (latest, *held),
                deadline => (deadline, *held),
            });
            Some(at.max(window.fits_at(now, holds, amount)?))
        })
    }
}
