//! The sliding windows of an agent.
//!
//! An active reservation is held in every window of its agent until it is settled, and what it settles for is
//! charged then: a window counts what was *spent* in the last stretch of time, and never lets go of money that
//! is about to be. So a window needs no books of its own for reservations: what it holds is what the agent has
//! reserved.

use std::ops::Bound::{self, Excluded, Included, Unbounded};

use super::Ledger;
use super::account::{Account, Holds, Limits, ReservationKey, State};
use super::error::{LedgerError, WindowRefusal};
use super::event::EventKind;
use super::operation::OperationId;
use crate::amount::Amount;
use crate::clock::Monotonic;
use crate::window::{MAX_LENGTH_NANOS, MAX_LIMIT_UNITS, MIN_LENGTH_NANOS, Precision, Window};

/// Windows of an agent, at most: each is looked at by every debit.
pub const MAX_WINDOWS: usize = 16;

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
            } else if windows.len() >= MAX_WINDOWS {
                let text =
                    format!("agent {agent:?} has {MAX_WINDOWS} windows and gets no more: remove one first");
                return Err(LedgerError::Configuration(text));
            } else {
                windows.reserve_exact(1); // Most agents have one.
                windows.push(Window::new(length, limit, precision));
            }
            windows.sort_unstable_by_key(Window::length);
            Ok(())
        })?
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
            limits
                .fits_at(now, state.books.balance.reserved, state.holds.as_deref(), amount)
                .map(|at| at.since(now))
        })
    }

    /// When what a window has refused fits into all windows of its agent, if nothing else happens; `None` if never.
    /// Only who asks pays for the answer.
    #[must_use]
    pub fn fits_at(&self, refusal: &WindowRefusal) -> Option<Monotonic> {
        let WindowRefusal { account, now, requested, .. } = refusal;
        let fits_at = self.with_open_agent(account, |state| {
            let held = state.books.balance.reserved;
            let Some(limits) = &mut state.limits else { return Some(*now) };
            limits.fits_at(*now, held, state.holds.as_deref(), *requested)
        });
        // An agent that has left since is held up by no window.
        fits_at.unwrap_or(Some(*now))
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
            Some(full) => Err(limits.refusal(full, now, held, agent, amount)),
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
        agent: &Account,
        amount: Amount,
    ) -> WindowRefusal {
        self.last_refused = amount;
        let window = &mut self.windows[full];
        WindowRefusal {
            account: agent.id().clone(),
            limit: window.limit(),
            spent: window.spent(now),
            reserved: held,
            requested: amount,
            length: window.length(),
            now,
        }
    }

    /// When `amount` fits into all windows at once, if nothing else happens.
    fn fits_at(
        &mut self,
        now: Monotonic,
        held: i128,
        holds: Option<&Holds>,
        amount: Amount,
    ) -> Option<Monotonic> {
        if amount.is_zero() {
            return Some(now); // Nothing is always admitted, even beyond the limit.
        }
        // What leaves a window never comes back by itself: it fits from the latest of the times on.
        self.windows.iter_mut().try_fold(now, |at, window| {
            // Work that keeps its reservation alive has no deadline; it is taken to end within one window.
            let latest = now.plus(window.length());
            let never = Monotonic::NEVER;
            let held_in = |deadlines| holds.into_iter().flat_map(move |holds| holds.due_in(deadlines));
            let kept = held_in((Included((never, 0)), Unbounded)).map(|(_, amount)| (latest, amount));
            let before = held_in((Unbounded, Excluded((latest, 0))));
            let after = held_in((Included((latest, 0)), Excluded((never, 0))));
            Some(at.max(window.fits_at(now, held, before.chain(kept).chain(after), amount)?))
        })
    }
}

impl Holds {
    /// Active reservations by deadline, earliest first.
    fn due_in(
        &self,
        keys: (Bound<ReservationKey>, Bound<ReservationKey>),
    ) -> impl Iterator<Item = (Monotonic, Amount)> {
        self.reservations.range(keys).map(|((deadline, _), held)| (*deadline, *held))
    }
}
