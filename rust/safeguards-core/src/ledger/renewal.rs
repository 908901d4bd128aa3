//! What goes from one period of an account into the next, and which periods were granted.

use std::collections::VecDeque;

use super::account::Account;
use super::change::AccountChange;
use super::life::Enforcement;
use super::period::{Schedule, Span};
use super::state::State;
use super::{Ledger, LedgerError};
use crate::amount::Amount;
use crate::clock::Wall;

/// How much of what a period leaves goes into the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rollover {
    /// Nothing: it lapses.
    #[default]
    Nothing,
    /// All of it.
    All,
    /// At most so much.
    AtMost(Amount),
}

/// What becomes of an overdraft when a period begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overdraft {
    /// The next period pays for it.
    #[default]
    Carry,
    /// The next period begins without it.
    Forgive,
}

/// The periods of an account, and what of one goes into the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Periods {
    /// When they begin.
    pub schedule: Schedule,
    /// What is left.
    pub rollover: Rollover,
    /// What is missing.
    pub overdraft: Overdraft,
}

/// What an account is bound by, beside its budget. By default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// When its budget is granted anew.
    pub periods: Option<Periods>,
    /// How far below zero facts may take it; `None` without a bound.
    pub overdraft_limit: Option<Amount>,
    /// The most that it may have in a period, spent or not; `None` without a bound.
    pub max_budget: Option<Amount>,
    /// What it does where it cannot pay.
    pub enforcement: Enforcement,
}

/// Granted periods that are remembered.
const MAX_GRANTED: usize = 64;

/// The renewals of an account: past and future.
#[derive(Debug)]
pub(super) struct Renewals {
    pub(super) periods: Periods,
    /// What each period begins with.
    pub(super) budget: Amount,
    /// Begins of the newest periods that were granted, in the order of their grants: whatever a clock showed in between,
    /// none is granted twice, and none is left out because a later one was.
    granted: VecDeque<Wall>,
}

impl From<Schedule> for Periods {
    fn from(schedule: Schedule) -> Self {
        Self { schedule, rollover: Rollover::default(), overdraft: Overdraft::default() }
    }
}

impl From<Periods> for Rules {
    fn from(periods: Periods) -> Self {
        Self { periods: Some(periods), ..Self::default() }
    }
}

impl Rules {
    /// Refuses what cannot be meant.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        let fault = self.periods.as_ref().and_then(|periods| periods.schedule.fault());
        fault.map_or(Ok(()), |fault| Err(LedgerError::Configuration(fault.into())))
    }

    /// How what an account is bound by differs from what was asked for, in words.
    pub(super) fn difference(&self, wanted: &Self) -> Option<String> {
        let schedule = |rules: &Self| rules.periods.as_ref().map(|periods| periods.schedule.clone());
        let is_alike = match (schedule(self), schedule(wanted)) {
            (Some(before), Some(wanted)) => before.is_alike(&wanted),
            (before, wanted) => before.is_none() && wanted.is_none(),
        };
        if !is_alike {
            let words =
                |schedule: Option<Schedule>| schedule.map_or_else(|| "none".into(), |it| it.to_string());
            return Some(format!(
                "with another budget_period: {}, not {}",
                words(schedule(self)),
                words(schedule(wanted))
            ));
        }
        None
    }

    /// The period that an account with these rules begins in.
    pub(super) fn span_at(&self, now: Wall) -> Span {
        self.periods.as_ref().map_or(Span::ALWAYS, |periods| periods.schedule.span_at(now))
    }
}

impl Renewals {
    pub(super) fn new(periods: Periods, budget: Amount, first: Span) -> Self {
        Self { periods, budget, granted: VecDeque::from([first.begins]) }
    }

    /// What remains when a period begins. What is still reserved is paid by the new period, so that no period spends
    /// more than its budget and what it got from the last one.
    ///
    /// That is said of the base, beside credits.
    fn begin(&self, (remaining, reserved): (i128, i128), overdraft_limit: Option<Amount>) -> i128 {
        let unspent = remaining.max(0) + reserved;
        let left = match self.periods.rollover {
            Rollover::Nothing => 0,
            Rollover::All => unspent,
            Rollover::AtMost(amount) => unspent.min(amount.units()),
        };
        let missing = match self.periods.overdraft {
            Overdraft::Carry => (-remaining).clamp(0, overdraft_limit.map_or(i128::MAX, Amount::units)),
            Overdraft::Forgive => 0,
        };
        self.budget.units() + left - reserved - missing
    }

    pub(super) fn grant(&mut self, span: Span) {
        if self.granted.len() >= MAX_GRANTED {
            self.granted.pop_front();
        }
        self.granted.push_back(span.begins);
    }
}

impl Account {
    /// Grants the budget of the period that `now` is in, unless it was granted before: going back to a period that was
    /// grants nothing and takes nothing. What cannot be written down does not happen.
    #[cold]
    pub(super) fn renew(&self, state: &mut State, ledger: &Ledger, now: Wall) {
        self.end_credits(state, ledger, now);
        let Some(renewals) = state.renewals() else { return };
        let span = renewals.periods.schedule.span_at(now);
        if span == Span::ALWAYS || renewals.granted.contains(&span.begins) {
            state.show_period(span);
            return;
        }
        let base = (state.base(), state.books.balance.reserved - state.credits_reserved());
        let begins = renewals.begin(base, state.overdraft_limit()) + state.credits_left();
        let remaining = begins.min(Amount::MAX.units());
        let change = AccountChange::Renewed { remaining, span, era: ledger.eras.begin() };
        let at = ledger.instant_at(now, None);
        drop(ledger.change(self, state, &change, at));
    }
}
