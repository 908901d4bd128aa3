//! Sliding windows: of agents, of pools, which all below share, and of single resources of an agent.
//!
//! An active reservation is held in every window that it passes until it is settled, and what it settles for is
//! charged then: a window counts what was *spent* in the last stretch of time, and never lets go of money that
//! is about to be. Money passes the windows of a whole path in the step in which it moves there: see
//! [`Passage`](super::money::Passage). What is charged to windows alone passes those of an account and all above it.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Ledger;
use super::account::{Account, Kind};
use super::change::{AccountChange, Change, Instant, WindowSet};
use super::error::{LedgerError, WindowRefusal};
use super::limits::{Limits, MAX_WINDOWS, WindowSnapshot};
use super::operation::OperationId;
use super::path::{Path, line};
use super::refusals::Asked;
use super::resources::ResourceId;
use super::state::State;
use super::waiting::Asks;
use crate::amount::Amount;
use crate::clock::Monotonic;
use crate::sync::MutexGuard;
use crate::window::{MAX_LENGTH_NANOS, MAX_LIMIT_UNITS, MIN_LENGTH_NANOS, Precision};

/// Whose windows are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowsOf<'a> {
    /// Id of an agent or a pool.
    pub account: &'a str,
    /// Which of the two; the agent where both have the id and this is `None`.
    pub kind: Option<Kind>,
    /// Which resource of the agent; its money if `None`.
    pub resource: Option<&'a str>,
}

impl<'a> From<&'a str> for WindowsOf<'a> {
    fn from(account: &'a str) -> Self {
        Self { account, kind: None, resource: None }
    }
}

impl<'a> From<&'a Arc<str>> for WindowsOf<'a> {
    fn from(account: &'a Arc<str>) -> Self {
        Self::from(&**account)
    }
}

/// The accounts whose windows are asked together, locked: the one that is meant, and for money all above it.
type Line<'a> = SmallVec<[(&'a Arc<Account>, MutexGuard<'a, State>); 4]>;

/// What is asked of windows alone.
struct Alone<'a> {
    account: &'a Account,
    resource: Option<ResourceId>,
    amount: Amount,
    /// Or only looked at.
    is_charged: bool,
}

impl Ledger {
    /// Admits at most `limit` within any `length` nanoseconds. A window of the same length is replaced, and what
    /// was charged to it stays charged; another length adds a window, which counts what is reserved by then.
    pub fn set_rate_limit<'a>(
        &self,
        of: impl Into<WindowsOf<'a>>,
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
        let of = of.into();
        self.with_account(of, |account| {
            let mut state = account.lock();
            let resource = self.resource_meant(account, &state, of)?;
            let windows = state.limits_of(resource).map_or(&[][..], |limits| limits.windows());
            if windows.len() >= MAX_WINDOWS && windows.iter().all(|window| window.length() != length) {
                let who = in_words(account);
                let text = format!("{who} has {MAX_WINDOWS} windows and gets no more: remove one first");
                return Err(LedgerError::Configuration(text));
            }
            let set = AccountChange::WindowSet(WindowSet { resource, length, limit, precision });
            self.change(account, &mut state, &set, self.instant())
        })?;
        self.serve_waiting();
        Ok(())
    }

    /// Removes the window of this length, or all of them. Returns how many there were.
    pub fn remove_rate_limit<'a>(
        &self,
        of: impl Into<WindowsOf<'a>>,
        length: Option<i64>,
    ) -> Result<usize, LedgerError> {
        let of = of.into();
        let removed = self.with_account(of, |account| {
            let mut state = account.lock();
            let resource = self.resource_meant(account, &state, of)?;
            let windows = state.limits_of(resource).map_or(&[][..], |limits| limits.windows());
            let goes = |window: i64| length.is_none_or(|length| length == window);
            let removed = windows.iter().filter(|window| goes(window.length())).count();
            if removed > 0 {
                let change = AccountChange::WindowsRemoved { resource, length };
                self.change(account, &mut state, &change, self.instant())?;
            }
            Ok(removed)
        })?;
        self.serve_waiting();
        Ok(removed)
    }

    /// Whether `amount` fits into every window of an account and of all above it now. Charges nothing.
    pub fn check_rate_limit<'a>(
        &self,
        of: impl Into<WindowsOf<'a>>,
        amount: Amount,
    ) -> Result<(), LedgerError> {
        self.pass_windows(of.into(), amount, false)
    }

    /// Charges `amount` to every window of an account and of all above it if it fits into all of them. No budget is
    /// touched.
    #[inline]
    pub fn acquire<'a>(&self, of: impl Into<WindowsOf<'a>>, amount: Amount) -> Result<(), LedgerError> {
        self.pass_windows(of.into(), amount, true)
    }

    /// Asks the windows, and charges them if it is to be.
    #[inline]
    fn pass_windows(&self, of: WindowsOf<'_>, amount: Amount, is_charged: bool) -> Result<(), LedgerError> {
        self.directory.with_account(of.account, of.kind, |account| {
            self.retry_after_expiry(|| {
                let mut state = account.lock();
                let resource = self.resource_meant(account, &state, of)?;
                if amount.is_zero() {
                    return Ok(());
                }
                let asked = Alone { account, resource, amount, is_charged };
                let passed = self.pass_alone(&asked, account, &mut state, None);
                passed.map(drop).map_err(|refused| {
                    if matches!(refused, LedgerError::RateLimitExceeded(_)) {
                        state.remember_refused(resource, amount);
                    }
                    refused.asked(Path::of(account), OperationId::NONE)
                })
            })
        })
    }

    /// Asks the windows of an account, and then those above it; they are charged on the way back, once the change is
    /// written. Returns when that is, where there are any: the first on the way reads the time.
    fn pass_alone(
        &self,
        asked: &Alone<'_>,
        account: &Account,
        state: &mut State,
        at: Option<Monotonic>,
    ) -> Result<Option<Monotonic>, LedgerError> {
        let Alone { resource, amount, is_charged, .. } = *asked;
        let kept = if resource.is_none() { state.kept_from(Asks::Once) } else { Amount::ZERO };
        let mut at = at;
        if let Some(limits) = state.limits_of(resource).filter(|limits| limits.has_windows()) {
            let now = at.unwrap_or_else(|| self.clock.monotonic());
            at = Some(now);
            if !limits.fits(now, amount, kept) {
                state.check_windows(account, resource, now, amount, Asks::Once)?;
            }
        }
        let at = match &account.parent {
            Some(pool) if resource.is_none() => self.pass_alone(asked, pool, &mut pool.lock(), at)?,
            _ => {
                self.write_alone(asked, at)?;
                at
            }
        };
        if let Some(now) = at.filter(|_| is_charged) {
            state.charge_windows(resource, now, amount);
        }
        Ok(at)
    }

    /// Writes down what is charged to windows alone, if there are any.
    #[inline]
    fn write_alone(&self, asked: &Alone<'_>, at: Option<Monotonic>) -> Result<(), LedgerError> {
        let Alone { account, resource, amount, is_charged } = *asked;
        if at.is_none() || !is_charged {
            return Ok(());
        }
        let acquired = || {
            let change = AccountChange::Acquired { resource, amount };
            let account = account.number;
            (self.instant_at(self.clock.wall_coarse(), at), Change::Account { account, change })
        };
        Ok(self.write(acquired)?)
    }

    /// States that `amount` was spent elsewhere: charges every window of an account and of all above it, whether it
    /// fits or not, and adds to the usage history of the account. No budget is touched.
    pub fn record_usage<'a>(
        &self,
        of: impl Into<WindowsOf<'a>>,
        amount: Amount,
        operation: OperationId,
    ) -> Result<(), LedgerError> {
        let of = of.into();
        self.with_account(of, |account| {
            let (mut line, resource) = self.lock_line(account, of)?;
            if amount.is_zero() {
                return Ok(());
            }
            let change = AccountChange::Recorded { resource, amount, operation };
            self.charge_line(&mut line, &change, self.instant())
        })
    }

    /// Nanoseconds until enough of what was charged has left for `amount`, or for what was refused last if no amount is
    /// given: zero if it has by now, if nothing was refused, or without a limit; `None` if it can never fit. It fits no
    /// sooner; later, if more is charged meanwhile, or what is reserved does not come back.
    pub fn retry_after<'a>(
        &self,
        of: impl Into<WindowsOf<'a>>,
        amount: Option<Amount>,
    ) -> Result<Option<i64>, LedgerError> {
        let of = of.into();
        self.with_account(of, |account| {
            let (mut line, resource) = self.lock_line(account, of)?;
            let refused = line[0].1.limits_of(resource).map(|limits| limits.last_refused);
            let amount = amount.or(refused).unwrap_or_default();
            let now = self.clock.monotonic();
            let mut states = line.iter_mut().map(|(_, state)| state);
            let at =
                states.try_fold(now, |at, state| Some(at.max(state.has_left_at(resource, now, amount)?)));
            Ok(at.map(|at| at.since(now)))
        })
    }

    /// When what a window has refused fits into all windows on its way at the soonest; `None` if never. Only who asks
    /// pays for the answer.
    #[must_use]
    pub fn fits_at(&self, refusal: &WindowRefusal) -> Option<Monotonic> {
        let WindowRefusal { resource, now, requested, asked, .. } = refusal;
        let resource = resource.as_ref().and_then(|name| self.resource_types.id(name));
        let mut accounts = asked.iter().flat_map(Asked::accounts);
        accounts.try_fold(*now, |at, account| {
            Some(at.max(account.lock().has_left_at(resource, *now, *requested)?))
        })
    }

    /// Every window of an account, shortest first.
    pub fn windows<'a>(&self, of: impl Into<WindowsOf<'a>>) -> Result<Vec<WindowSnapshot>, LedgerError> {
        self.expire_due();
        let of = of.into();
        self.with_account(of, |account| {
            let mut state = account.lock();
            let resource = self.resource_meant(account, &state, of)?;
            let now = self.clock.monotonic();
            Ok(state.limits_of(resource).map_or_else(Vec::new, |limits| limits.snapshots(now)))
        })
    }

    #[inline]
    fn with_account<R>(
        &self,
        of: WindowsOf<'_>,
        act: impl FnMut(&Arc<Account>) -> Result<R, LedgerError>,
    ) -> Result<R, LedgerError> {
        self.directory.with_account(of.account, of.kind, act)
    }

    /// Which resource of an account is meant, whose money if none is.
    fn resource_meant(
        &self,
        account: &Account,
        state: &State,
        of: WindowsOf<'_>,
    ) -> Result<Option<ResourceId>, LedgerError> {
        state.check_open(account)?;
        let Some(resource) = of.resource else { return Ok(None) };
        if account.kind() == Kind::Pool {
            let who = in_words(account);
            let text =
                format!("{who} has no resources: windows on a resource belong to agents, set one on each");
            return Err(LedgerError::Configuration(text));
        }
        Ok(Some(state.budgets()[state.place(account, resource, self)?].id))
    }

    /// Locks the accounts whose windows are asked together.
    #[inline]
    fn lock_line<'a>(
        &self,
        account: &'a Arc<Account>,
        of: WindowsOf<'_>,
    ) -> Result<(Line<'a>, Option<ResourceId>), LedgerError> {
        let state = account.lock();
        let resource = self.resource_meant(account, &state, of)?;
        let mut locked = Line::new();
        locked.push((account, state));
        if resource.is_none() {
            locked.extend(line(account).skip(1).map(|pool| (pool, pool.lock())));
        }
        Ok((locked, resource))
    }

    /// Charges the windows, as a change says that is about the first of the accounts.
    fn charge_line(
        &self,
        line: &mut Line<'_>,
        change: &AccountChange,
        at: Instant,
    ) -> Result<(), LedgerError> {
        let Some(((account, state), above)) = line.split_first_mut() else { return Ok(()) };
        self.change(account, state, change, at)?;
        for (_, state) in above {
            state.share(change, at);
        }
        Ok(())
    }
}

/// An account, as texts call it.
fn in_words(account: &Account) -> String {
    match account.kind() {
        Kind::Agent => format!("agent {:?}", account.id),
        Kind::Pool => format!("pool {:?}", account.id),
    }
}

impl State {
    /// When enough of what was charged has left the windows for `amount`, if they may refuse; `None` if never.
    fn has_left_at(
        &mut self,
        resource: Option<ResourceId>,
        now: Monotonic,
        amount: Amount,
    ) -> Option<Monotonic> {
        if self.mode.is_lenient() {
            return Some(now);
        }
        self.limits_of(resource).map_or(Some(now), |limits| limits.has_left_at(now, amount))
    }

    /// Whether there are windows of money.
    pub(super) fn has_windows(&self) -> bool {
        self.limits.as_deref().is_some_and(Limits::has_windows)
    }

    /// Room in the windows of money that is kept for somebody else.
    #[inline]
    pub(super) fn kept_from(&self, asks: Asks) -> Amount {
        if self.keeps && !asks.is_favored() { self.kept_in_windows() } else { Amount::ZERO }
    }

    /// How much fits into all windows of money now, kept or not.
    pub(super) fn window_room(&mut self, now: Monotonic) -> i128 {
        let is_lenient = self.mode.is_lenient();
        self.limits().filter(|_| !is_lenient).map_or(i128::MAX, |limits| limits.room(now))
    }

    /// When so many units fit into the windows of money, if nothing but time comes to them, or what is kept room for:
    /// where reservations are in the way, their end tells.
    pub(super) fn next_room(&mut self, now: Monotonic, needs: i128) -> Monotonic {
        let kept = self.kept_in_windows();
        let units = if kept.is_zero() { needs } else { kept.units() };
        self.limits().map_or(now, |limits| limits.fits_at(now, units).unwrap_or(Monotonic::NEVER))
    }

    /// Refuses what does not fit into one of the windows of money, or of a resource.
    pub(super) fn check_windows(
        &mut self,
        account: &Account,
        resource: Option<ResourceId>,
        now: Monotonic,
        amount: Amount,
        asks: Asks,
    ) -> Result<(), Box<WindowRefusal>> {
        if self.mode.is_lenient() {
            return Ok(());
        }
        let kept = if resource.is_none() { self.kept_from(asks) } else { Amount::ZERO };
        let Some(limits) = self.limits_of(resource) else { return Ok(()) };
        let Some(full) = limits.full(now, amount, kept) else { return Ok(()) };
        if asks.is_counted() {
            limits.last_refused = amount;
        }
        let WindowSnapshot { length, limit, spent, reserved } = full;
        let name = resource.and_then(|id| self.budgets().iter().find(|budget| budget.id == id));
        Err(Box::new(WindowRefusal {
            account: Arc::clone(&account.id),
            kind: account.kind(),
            resource: name.map(|budget| Arc::clone(&budget.name)),
            limit,
            spent,
            reserved,
            kept,
            requested: amount,
            length,
            now,
            asked: None,
        }))
    }
}
