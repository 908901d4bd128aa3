//! What the lock of an account protects, and the only functions that change it.
//!
//! The rest of the ledger reads: a [`State`] gives itself out as [`Inner`], and never for writing. What changes it
//! is a [`Change`](super::Change), in the two forms that one account sees: [`AccountChange`], something in this account
//! alone, and a [`Posting`], money or resources that move on a whole path. Both come from an operation that has
//! checked, or from a replay that need not.
//!
//! Two things that are no changes also stand here: what was refused is counted, and windows let go of what is over.

#![expect(clippy::inline_always, reason = "the hot path, where the compiler counts instructions otherwise")]

use std::collections::{BTreeSet, VecDeque};
use std::ops::Deref;
use std::sync::Arc;

use super::Ledger;
use super::account::{Account, Kind};
use super::balance::{Balance, Movement};
use super::books::Books;
use super::change::{AccountChange, Instant, Refunded};
use super::credits::Purse;
use super::event::{EventKind, History};
use super::holds::{Held, Holds};
use super::life::{Enforcement, Mode};
use super::limits::Limits;
use super::operation::OperationId;
use super::period::Span;
use super::refusals::Refused;
use super::renewal::{Renewals, Rollover, Rules};
use super::resources::{Moves, ResourceBudget, ResourceId, Resources};
use super::waiting::{Kept, Lack};
use crate::amount::Amount;
use crate::clock::{Monotonic, Wall};

/// What the lock of an account protects.
#[derive(Debug)]
pub(super) struct State(Inner);

/// The same, for reading. In the order in which it is needed most: what a debit reads and writes lies in two lines of
/// memory, down to what the balance has spent.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Inner {
    /// No longer registered: nothing new is admitted.
    pub(super) closed: bool,
    /// Whether it may refuse, or must.
    pub(super) mode: Mode,
    pub(super) priority: u8,
    /// Something is kept for a call that waits.
    pub(super) keeps: bool,
    /// The windows of its money. Boxed, as all that few accounts need.
    pub(super) limits: Option<Box<Limits>>,
    pub(super) history: History,
    pub(super) books: Books,
    /// The period that was looked at last, up to the end of the first credit. No part of the state: it follows from the
    /// time, and from what was granted.
    pub(super) span: Span,
    pub(super) holds: Option<Box<Holds>>,
    seldom: Option<Box<Seldom>>,
}

/// What few accounts have.
#[derive(Debug, Default)]
struct Seldom {
    resources: Option<Box<Resources>>,
    pool: Option<Box<Pool>>,
    renewals: Option<Box<Renewals>>,
    credits: Option<Box<Purse>>,
    /// How far below zero facts may take the account.
    overdraft_limit: Option<Amount>,
    /// What it has refused. No part of the state.
    refused: Option<Box<Refused>>,
    /// Units that settlements cost beyond that: charged nowhere.
    unpaid: i128,
    /// Units of charges that were given back.
    refunded: i128,
    /// The most that it may have in a period, spent or not.
    max_budget: Option<Amount>,
    /// How often it would have refused; no part of the state.
    would_refuse: u32,
    /// That it would refuse was told, and it has not admitted anything since; no part of the state.
    is_warned: bool,
    /// The line that the account stood in up to an event, for each time that it moved.
    former: Vec<(u64, Vec<Arc<Account>>)>,
    /// Who made the newest changes that people and controllers make, and why; no part of the state.
    notes: VecDeque<Note>,
    /// What is kept for a call that waits. No part of the state.
    kept: Option<Kept>,
}

/// Who made a change, and why.
#[derive(Clone, Debug)]
pub struct Note {
    /// The event that it left.
    pub sequence: u64,
    /// Who made it.
    pub actor: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
}

/// Notes that are kept of an account.
const MAX_NOTES: usize = 8;

/// What only pools have.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// What people call it, if that is not its id.
    pub(super) name: Option<Arc<str>>,
    /// Below what its agents are told to be low.
    pub(super) low: Option<Amount>,
    /// Slots of the agents right below.
    pub(super) agents: BTreeSet<u32>,
    /// Ids of the pools right below.
    pub(super) pools: Vec<Arc<str>>,
    /// What is reserved and spent here and not right below, less what accounts right below were charged together.
    pub(super) beyond: Beyond,
}

/// The difference between a pool and the accounts right below it, in units, where several lines of accounts were
/// charged at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Beyond {
    pub(super) reserved: i128,
    pub(super) spent: i128,
}

/// When windows are passed on a path, if there are any, and what must fit into them.
pub(super) type Windows = Option<(Monotonic, Amount)>;

/// Something that happens to an agent as part of a movement on its whole path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Posting {
    pub(super) kind: EventKind,
    /// What its event says.
    pub(super) amount: Amount,
    /// What it cost beyond that, and is charged nowhere.
    pub(super) unpaid: Amount,
    pub(super) operation: OperationId,
    /// For the windows, where there are any: when it is, and what must fit.
    pub(super) windows: Windows,
    pub(super) wall: Wall,
}

/// The same of resources, each of which moves by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResourcePosting {
    pub(super) kind: EventKind,
    pub(super) operation: OperationId,
    /// For the windows, where there are any.
    pub(super) windows_at: Option<Monotonic>,
    pub(super) wall: Wall,
}

impl Deref for State {
    type Target = Inner;

    #[inline]
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Inner {
    fn seldom(&self) -> Option<&Seldom> {
        self.seldom.as_deref()
    }

    /// The resources of an agent.
    #[inline]
    pub(super) fn resources(&self) -> Option<&Resources> {
        self.seldom()?.resources.as_deref()
    }

    /// What only pools have.
    pub(super) fn pool(&self) -> Option<&Pool> {
        self.seldom()?.pool.as_deref()
    }

    /// The periods of an account that has any.
    pub(super) fn renewals(&self) -> Option<&Renewals> {
        self.seldom()?.renewals.as_deref()
    }

    /// What the account has refused, if it has refused anything.
    pub(super) fn refused(&self) -> Option<&Refused> {
        self.seldom()?.refused.as_deref()
    }

    /// The credits of an account that has or had any.
    pub(super) fn purse(&self) -> Option<&Purse> {
        self.seldom()?.credits.as_deref()
    }

    /// Units that are left of credits.
    pub(super) fn credits_left(&self) -> i128 {
        self.purse().map_or(0, |purse| purse.left(&self.books.balance))
    }

    /// Units that are reserved of credits.
    pub(super) fn credits_reserved(&self) -> i128 {
        self.purse().map_or(0, Purse::reserved)
    }

    /// The period that was looked at last.
    pub(super) fn period(&self) -> Span {
        self.purse().map_or(self.span, Purse::period)
    }

    /// How far below zero facts may take the account, where that is bounded.
    #[inline]
    pub(super) fn overdraft_limit(&self) -> Option<Amount> {
        self.seldom()?.overdraft_limit
    }

    /// How many units facts may still charge; below zero where they have gone further before the limit was set.
    pub(super) fn headroom(&self) -> i128 {
        if self.mode.has_moved() {
            return 0;
        }
        if self.mode.is_lenient() {
            return i128::MAX;
        }
        let limit = self.overdraft_limit().map_or(i128::MAX, Amount::units);
        limit.saturating_add(self.books.balance.remaining)
    }

    /// Whether the account admits a movement.
    #[inline(always)]
    pub(super) fn admits_movement(&self, movement: &Movement) -> bool {
        let is_plain = self.mode.is_plain() && !self.keeps && !movement.overdraws();
        if is_plain { movement.is_admitted_by(&self.books.balance) } else { self.admits_specially(movement) }
    }

    /// As [`admits_movement`](Self::admits_movement), of an account that is suspended, does not enforce or keeps something
    /// for a call that waits, or of a fact that may go beyond its limit.
    #[cold]
    fn admits_specially(&self, movement: &Movement) -> bool {
        if self.mode.has_moved() || self.mode.is_suspended() && movement.begins() {
            return false;
        }
        self.mode.is_lenient() || self.can_pay(movement)
    }

    /// Whether the budget can pay for a movement, within its overdraft limit.
    fn can_pay(&self, movement: &Movement) -> bool {
        movement.is_admitted_by(&self.books.balance)
            && (!self.keeps || self.leaves_kept(movement))
            && (!movement.overdraws() || self.headroom().saturating_add(movement.remaining()) >= 0)
    }

    /// The most that the account may have in a period, spent or not.
    pub(super) fn max_budget(&self) -> Option<Amount> {
        self.seldom()?.max_budget
    }

    /// How often it would have refused.
    pub(super) fn would_refuse(&self) -> u32 {
        self.seldom().map_or(0, |seldom| seldom.would_refuse)
    }

    /// Who made its newest changes, and why.
    pub(super) fn notes(&self) -> impl Iterator<Item = &Note> {
        self.seldom().into_iter().flat_map(|seldom| &seldom.notes)
    }

    /// Units that settlements cost beyond the overdraft limits of their paths.
    pub(super) fn unpaid(&self) -> i128 {
        self.seldom().map_or(0, |seldom| seldom.unpaid)
    }

    /// Units of charges that were given back.
    pub(super) fn refunded(&self) -> i128 {
        self.seldom().map_or(0, |seldom| seldom.refunded)
    }

    /// What the account is bound by.
    pub(super) fn rules(&self) -> Rules {
        let periods = self.renewals().map(|renewals| renewals.periods.clone());
        Rules {
            periods,
            overdraft_limit: self.overdraft_limit(),
            max_budget: self.max_budget(),
            enforcement: self.mode.enforcement(),
        }
    }
}

impl State {
    pub(super) fn new(priority: u8) -> Self {
        Self(Inner {
            closed: false,
            mode: Mode::default(),
            priority,
            keeps: false,
            limits: None,
            history: History::default(),
            books: Books::default(),
            span: Span::ALWAYS,
            holds: None,
            seldom: None,
        })
    }

    // A movement on a path.

    /// Moves money in the books and, at their time, in the windows.
    #[inline(always)]
    pub(super) fn shift(
        &mut self,
        movement: &Movement,
        account: &Account,
        windows: Windows,
        wall: Wall,
        ledger: &Ledger,
    ) {
        if self.mode.is_lenient() && account.kind() == Kind::Pool {
            self.look_at_leniency(account, movement, windows, OperationId::NONE, wall, ledger);
        }
        if movement.unpaid() != 0 && account.kind() == Kind::Pool {
            let unpaid = Amount::from_units(movement.unpaid()).unwrap_or_default();
            self.note_unpaid(unpaid, OperationId::NONE, wall, ledger);
        }
        if let (Some(limits), Some((at, _))) = (self.0.limits.as_deref_mut(), windows) {
            limits.shift(at, movement);
        }
        let mut gone = 0;
        if movement.reserved() != 0 && self.purse().is_some() {
            gone = self.shift_claims(movement, account, wall, ledger);
        } else {
            self.shift_books(movement, account, ledger);
        }
        if self.0.keeps {
            self.shift_kept(movement, gone);
        }
    }

    #[inline(always)]
    pub(super) fn shift_books(&mut self, movement: &Movement, account: &Account, ledger: &Ledger) {
        if let Some(crossing) = self.0.books.apply(movement, &ledger.thresholds) {
            ledger.report(&account.id, account.kind(), None, &self.0.books, crossing);
        }
    }

    /// What comes back is kept, but for what is gone as it does; what was kept is gone with the movement that it was kept for.
    #[cold]
    fn shift_kept(&mut self, movement: &Movement, gone: i128) {
        if movement.asks().is_favored() {
            self.stop_keeping();
        } else {
            self.keep_what_came(self.0.books.balance.remaining + gone - movement.remaining());
        }
    }

    /// More may remain than before.
    fn keep_what_came(&mut self, before: i128) {
        let after = self.0.books.balance.remaining;
        if let Some(kept) = self.0.seldom.as_deref_mut().and_then(|seldom| seldom.kept.as_mut()) {
            kept.came_back(before, after);
        }
    }

    /// Says what a movement was in the agent's history.
    #[inline(always)]
    pub(super) fn note(&mut self, posting: &Posting, ledger: &Ledger) {
        let Posting { kind, amount, unpaid, operation, wall, .. } = *posting;
        if !unpaid.is_zero() {
            self.note_unpaid(unpaid, operation, wall, ledger);
        }
        self.0.history.record(wall, kind, amount, operation, ledger.history_limits);
    }

    /// What was not charged is told all the same.
    #[cold]
    pub(super) fn note_unpaid(
        &mut self,
        unpaid: Amount,
        operation: OperationId,
        wall: Wall,
        ledger: &Ledger,
    ) {
        self.seldom_mut().unpaid += unpaid.units();
        self.0.history.record(wall, EventKind::Unpaid, unpaid, operation, ledger.history_limits);
    }

    /// Gives part of a charge back.
    pub(super) fn refund(&mut self, refunded: &Refunded, at: Instant, ledger: &Ledger) {
        let Refunded { charge, amount, .. } = refunded;
        let given = self.give_back_credits(amount.units(), charge.era);
        self.0.books.refund(given, charge.era, &ledger.thresholds);
        self.seldom_mut().refunded += amount.units();
        if let Some(limits) = &mut self.0.limits {
            limits.refund(at.monotonic, charge.at, *amount);
        }
        self.0.history.record(at.wall, EventKind::Refund, *amount, charge.operation, ledger.history_limits);
    }

    /// Who has enough again, now that something was given back, is told the next time.
    #[inline]
    pub(super) fn rearm(&mut self, ledger: &Ledger) {
        self.0.books.calm(&ledger.thresholds);
    }

    /// Moves resources, and says so in the history of each.
    #[inline]
    pub(super) fn shift_resources(
        &mut self,
        moves: &Moves,
        posting: &ResourcePosting,
        agent: &Account,
        ledger: &Ledger,
    ) {
        let ResourcePosting { kind, operation, windows_at, wall } = *posting;
        let Some(resources) = self.resources_mut() else { return };
        for m in moves {
            let ResourceBudget { name, books, history, limits, .. } = &mut resources.budgets[m.at];
            if let (Some(limits), Some(at)) = (limits, windows_at) {
                limits.shift(at, &m.movement);
            }
            if let Some(crossing) = books.apply(&m.movement, &ledger.thresholds) {
                ledger.report(&agent.id, Kind::Agent, Some(name), books, crossing);
            }
            if !m.amount.is_zero() {
                history.record(wall, kind, m.amount, operation, ledger.history_limits);
            }
        }
    }

    /// Makes a reservation active.
    #[inline]
    pub(super) fn open_hold(&mut self, number: u64, held: Held) {
        self.0.holds.get_or_insert_default().open(number, held);
    }

    /// Ends a reservation.
    #[inline]
    pub(super) fn close_hold(&mut self, number: u64) -> Option<Held> {
        self.0.holds.as_deref_mut()?.close(number)
    }

    /// Counts what moved in a pool otherwise than through one account right below it: `lines` times as much.
    pub(super) fn move_beyond(&mut self, movement: &Movement, lines: i128) {
        let beyond = &mut self.pool_mut().beyond;
        beyond.reserved += movement.reserved() * lines;
        beyond.spent += movement.spent() * lines;
    }

    /// Counts what an agent has set aside for another one, which it is charged beside.
    pub(super) fn hold_for_another(&mut self, movement: &Movement) {
        if movement.reserved() != 0 {
            self.0.holds.get_or_insert_default().hold_for_another(movement.reserved());
        }
    }

    // Something in this account alone.

    /// Makes a change.
    pub(super) fn apply(&mut self, change: &AccountChange, at: Instant, ledger: &Ledger) {
        match change {
            AccountChange::Granted { budget, era } => {
                self.grant(budget.units(), EventKind::Update, *era, at.wall, ledger);
            }
            AccountChange::Renewed { remaining, span, era } => {
                self.show_period(*span);
                if let Some(renewals) = self.renewals_mut() {
                    renewals.grant(*span);
                }
                self.grant(*remaining, EventKind::Renew, *era, at.wall, ledger);
            }
            AccountChange::Adjusted(units) => {
                let kind = if *units > 0 { EventKind::Raise } else { EventKind::Lower };
                self.adjust(*units, kind, at.wall, ledger);
            }
            AccountChange::PeriodBudgetSet(budget) => self.set_period_budget(*budget, at.wall, ledger),
            AccountChange::Suspended(is_suspended) => {
                self.0.mode = self.0.mode.suspended(*is_suspended);
                let kind = if *is_suspended { EventKind::Suspend } else { EventKind::Resume };
                self.tell(kind, Amount::ZERO, at.wall, ledger);
            }
            AccountChange::EnforcementSet(enforcement) => {
                self.0.mode = self.0.mode.enforcing(*enforcement);
                self.tell(EventKind::Enforcement, Amount::ZERO, at.wall, ledger);
            }
            AccountChange::PrioritySet(priority) => {
                self.0.priority = *priority;
                self.tell(EventKind::Priority, Amount::ZERO, at.wall, ledger);
            }
            AccountChange::MaxBudgetSet(max) => {
                self.seldom_mut().max_budget = *max;
                self.tell(EventKind::MaxBudget, max.unwrap_or_default(), at.wall, ledger);
            }
            AccountChange::OverdraftLimitSet(limit) => self.set_overdraft_limit(*limit, at.wall, ledger),
            AccountChange::LowWatched(low) => self.pool_mut().low = *low,
            AccountChange::Prolonged { number, to, time_over, .. } => {
                if let Some(holds) = self.0.holds.as_deref_mut() {
                    holds.prolong(*number, *to, *time_over);
                }
            }
            AccountChange::ResourcesSet(budgets) => {
                let before = self.seldom_mut().resources.take();
                self.add_resources(budgets, at.wall, ledger);
                // Books begin anew; what somebody may spend in a stretch of time does not.
                for budget in before.into_iter().flat_map(|resources| resources.budgets) {
                    if let Some(same) = self.resource_mut(budget.id) {
                        same.limits = budget.limits;
                    }
                }
            }
            AccountChange::ResourcesAdded(budgets) => self.add_resources(budgets, at.wall, ledger),
            AccountChange::ResourceGranted { resource, remaining } => {
                self.grant_resource(*resource, *remaining, at.wall, ledger);
            }
            AccountChange::CreditEnded { id, era } => self.end_credit(*id, *era, at.wall, ledger),
            of_windows => self.apply_to_windows(of_windows, at, ledger),
        }
    }

    fn apply_to_windows(&mut self, change: &AccountChange, at: Instant, ledger: &Ledger) {
        match *change {
            AccountChange::WindowSet(set) => {
                if let Some((limits, reserved)) = self.limits_to_set(set.resource) {
                    limits.get_or_insert_default().set(&set, reserved);
                }
            }
            AccountChange::WindowsRemoved { resource, length } => {
                if let Some(limits) = self.limits_of(resource) {
                    limits.remove(length);
                }
            }
            AccountChange::Acquired { resource, amount } => {
                self.charge_windows(resource, at.monotonic, amount);
            }
            AccountChange::Recorded { resource, amount, operation } => {
                self.charge_windows(resource, at.monotonic, amount);
                let history = match resource {
                    None => Some(&mut self.0.history),
                    Some(id) => self.resource_mut(id).map(|budget| &mut budget.history),
                };
                if let Some(history) = history {
                    history.record(at.wall, EventKind::Recorded, amount, operation, ledger.history_limits);
                }
            }
            _ => {}
        }
    }

    /// Charges the windows for what an account below was charged alone.
    pub(super) fn share(&mut self, change: &AccountChange, at: Instant) {
        if let AccountChange::Acquired { resource: None, amount }
        | AccountChange::Recorded { resource: None, amount, .. } = change
        {
            self.charge_windows(None, at.monotonic, *amount);
        }
    }

    /// Charges the windows alone: of money, or of one resource.
    #[inline]
    pub(super) fn charge_windows(&mut self, resource: Option<ResourceId>, at: Monotonic, amount: Amount) {
        if let Some(limits) = self.limits_of(resource) {
            limits.charge(at, amount);
        }
    }

    /// Where windows of money, or of one resource, belong, and what is reserved there.
    fn limits_to_set(&mut self, resource: Option<ResourceId>) -> Option<(&mut Option<Box<Limits>>, i128)> {
        let Some(id) = resource else {
            return Some((&mut self.0.limits, self.0.books.balance.reserved));
        };
        let budget = self.resource_mut(id)?;
        Some((&mut budget.limits, budget.books.balance.reserved))
    }

    /// Makes `units` remain, with which a period begins.
    pub(super) fn grant(&mut self, units: i128, kind: EventKind, era: u64, wall: Wall, ledger: &Ledger) {
        ledger.eras.skip_to(era);
        self.set_credits(units, kind, era);
        let before = self.0.books.balance.remaining;
        self.0.books.begin_period(units, era, &ledger.thresholds);
        self.keep_what_came(before);
        let amount = Amount::from_units(units.max(0)).unwrap_or_default();
        self.0.history.record(wall, kind, amount, OperationId::NONE, ledger.history_limits);
    }

    /// Moves what was granted within the period.
    pub(super) fn adjust(&mut self, units: i128, kind: EventKind, wall: Wall, ledger: &Ledger) {
        self.move_grant(units, ledger);
        let amount = Amount::from_units(units.abs()).unwrap_or_default();
        self.record(wall, kind, amount, OperationId::NONE, ledger);
    }

    pub(super) fn move_grant(&mut self, units: i128, ledger: &Ledger) {
        let before = self.0.books.balance.remaining;
        self.0.books.move_grant(units, &ledger.thresholds);
        self.keep_what_came(before);
    }

    pub(super) fn record(
        &mut self,
        wall: Wall,
        kind: EventKind,
        amount: Amount,
        operation: OperationId,
        ledger: &Ledger,
    ) {
        self.0.history.record(wall, kind, amount, operation, ledger.history_limits);
    }

    fn set_period_budget(&mut self, budget: Amount, wall: Wall, ledger: &Ledger) {
        if let Some(renewals) = self.renewals_mut() {
            renewals.budget = budget;
            let (kind, none) = (EventKind::PeriodBudget, OperationId::NONE);
            self.0.history.record(wall, kind, budget, none, ledger.history_limits);
        }
    }

    fn set_overdraft_limit(&mut self, limit: Option<Amount>, wall: Wall, ledger: &Ledger) {
        self.seldom_mut().overdraft_limit = limit;
        self.tell(EventKind::OverdraftLimit, limit.unwrap_or_default(), wall, ledger);
    }

    pub(super) fn tell(&mut self, kind: EventKind, amount: Amount, wall: Wall, ledger: &Ledger) {
        self.0.history.record(wall, kind, amount, OperationId::NONE, ledger.history_limits);
    }

    fn add_resources(&mut self, new: &[(ResourceId, Amount)], wall: Wall, ledger: &Ledger) {
        let budgets = &mut self.seldom_mut().resources.get_or_insert_default().budgets;
        budgets.extend(new.iter().map(|(id, amount)| ledger.open_resource(*id, *amount, wall)));
        budgets.sort_unstable_by_key(|budget| budget.id);
    }

    fn grant_resource(&mut self, id: ResourceId, remaining: Amount, wall: Wall, ledger: &Ledger) {
        let Some(resources) = self.resources_mut() else { return };
        if let Some(at) = resources.locate(id, 0) {
            resources.budgets[at].grant(remaining, wall, ledger);
        }
    }

    /// The budget of a resource, for the capacity above it: one is set, or goes.
    pub(super) fn resource_mut(&mut self, id: ResourceId) -> Option<&mut ResourceBudget> {
        let resources = self.resources_mut()?;
        let at = resources.locate(id, 0)?;
        Some(&mut resources.budgets[at])
    }

    // Accounts that come and go.

    /// What a new account is bound by, and the period that it begins in.
    pub(super) fn set_rules(&mut self, rules: &Rules, budget: Amount, span: Span) {
        let Rules { periods, overdraft_limit, max_budget, enforcement } = rules;
        self.0.mode = self.0.mode.enforcing(*enforcement);
        if max_budget.is_some() {
            self.seldom_mut().max_budget = *max_budget;
        }
        if let Some(periods) = periods {
            self.show_period(span);
            let renewals = Renewals::new(periods.clone(), budget, span);
            self.seldom_mut().renewals = Some(Box::new(renewals));
        }
        if overdraft_limit.is_some() {
            self.seldom_mut().overdraft_limit = *overdraft_limit;
        }
    }

    /// What people call a pool.
    pub(super) fn set_name(&mut self, name: &Arc<str>) {
        self.pool_mut().name = Some(Arc::clone(name));
    }

    /// An account was made right below this pool.
    pub(super) fn enter(&mut self, account: &Account) {
        match account.kind() {
            Kind::Agent => drop(self.pool_mut().agents.insert(account.slot())),
            Kind::Pool => self.pool_mut().pools.push(Arc::clone(&account.id)),
        }
    }

    /// Gives the state to the account that takes the place of this one, which is closed.
    pub(super) fn hand_over(&mut self) -> Self {
        let mut taken = std::mem::replace(self, Self::new(self.priority));
        self.close();
        self.0.mode = self.0.mode.moved();
        taken.stop_keeping(); // Who waits asks anew.
        taken
    }

    /// Remembers the pools above an account that moves, for refunds of what they have paid.
    pub(super) fn remember_line(&mut self, account: &Account) {
        let above = std::iter::successors(account.parent.clone(), |pool| pool.parent.clone());
        let (sequence, above) = (self.0.history.sequence(), above.collect());
        self.seldom_mut().former.push((sequence, above));
    }

    /// The pools that an earlier event of the account was charged to; `None` for those above it now.
    pub(super) fn former_line(&self, sequence: u64) -> Option<&[Arc<Account>]> {
        let former = &self.seldom()?.former;
        former.iter().find(|(until, _)| sequence <= *until).map(|(_, line)| &**line)
    }

    /// So much more was spent right below this pool, which it has not paid for.
    pub(super) fn spent_below(&mut self, units: i128) {
        self.pool_mut().beyond.spent -= units;
    }

    /// An agent right below this pool has left.
    pub(super) fn leave(&mut self, slot: u32) {
        self.pool_mut().agents.remove(&slot);
    }

    /// A pool right below this one was closed.
    pub(super) fn leave_pool(&mut self, id: &str) {
        self.pool_mut().pools.retain(|pool| &**pool != id);
    }

    /// The account is no longer registered: whoever holds on to it begins nothing in it any more.
    pub(super) fn close(&mut self) {
        self.0.closed = true;
        self.0.mode = self.0.mode.suspended(true);
    }

    /// The agent is told when less than `low` remains.
    pub(super) fn watch_low(&mut self, low: Option<Amount>, ledger: &Ledger) {
        self.0.books.watch_low(low.map_or(i128::MIN, Amount::units), &ledger.thresholds);
    }

    fn seldom_mut(&mut self) -> &mut Seldom {
        self.0.seldom.get_or_insert_default()
    }

    fn pool_mut(&mut self) -> &mut Pool {
        self.seldom_mut().pool.get_or_insert_default()
    }

    fn resources_mut(&mut self) -> Option<&mut Resources> {
        self.0.seldom.as_deref_mut()?.resources.as_deref_mut()
    }

    pub(super) fn purse_mut(&mut self) -> Option<&mut Purse> {
        self.0.seldom.as_deref_mut()?.credits.as_deref_mut()
    }

    /// The credits of an account, made where it has none.
    pub(super) fn purse_or(&mut self, make: impl FnOnce(&Balance) -> Purse) -> &mut Purse {
        let balance = self.0.books.balance;
        self.seldom_mut().credits.get_or_insert_with(|| Box::new(make(&balance)))
    }

    fn renewals_mut(&mut self) -> Option<&mut Renewals> {
        self.0.seldom.as_deref_mut()?.renewals.as_deref_mut()
    }

    /// Slots of the agents right below a pool.
    pub(super) fn agents_below(&self) -> impl Iterator<Item = u32> {
        self.pool().into_iter().flat_map(|pool| pool.agents.iter().copied())
    }

    /// Whether reservations of other agents hold something on this one.
    pub(super) fn holds_for_others(&self) -> bool {
        self.0.holds.as_deref().is_some_and(|holds| holds.for_others() != 0)
    }

    // What is no change.

    /// Tells what an account that does not enforce would have refused, before it is charged.
    #[cold]
    pub(super) fn look_at_leniency(
        &mut self,
        account: &Account,
        movement: &Movement,
        windows: Windows,
        operation: OperationId,
        wall: Wall,
        ledger: &Ledger,
    ) {
        let (fits, beyond) = match (windows, self.limits()) {
            (Some((at, beyond)), Some(limits)) => (limits.fits(at, beyond, Amount::ZERO), beyond),
            _ => (true, Amount::ZERO),
        };
        if fits && self.can_pay(movement) {
            self.seldom_mut().is_warned = false;
        } else {
            let requested = movement.needs().max(beyond.units());
            self.note_would_refuse(requested, operation, account, wall, ledger);
        }
    }

    /// What would have been refused is told, and an account that warns sets off an alarm, once until it admits again.
    #[cold]
    pub(super) fn note_would_refuse(
        &mut self,
        requested: i128,
        operation: OperationId,
        account: &Account,
        wall: Wall,
        ledger: &Ledger,
    ) {
        let amount = Amount::from_units(requested.clamp(0, Amount::MAX.units())).unwrap_or_default();
        self.0.history.record(wall, EventKind::WouldRefuse, amount, operation, ledger.history_limits);
        let warns = self.0.mode.enforcement() == Enforcement::Warn;
        let seldom = self.seldom_mut();
        seldom.would_refuse = seldom.would_refuse.saturating_add(1);
        if !std::mem::replace(&mut seldom.is_warned, true) && warns {
            ledger.warn(account, &self.0.books, amount);
        }
    }

    /// Who made the newest change, and why.
    pub(super) fn note_reason(&mut self, actor: &Arc<str>, reason: &Arc<str>) {
        let (sequence, actor, reason) = (self.0.history.sequence(), Arc::clone(actor), Arc::clone(reason));
        let notes = &mut self.seldom_mut().notes;
        if notes.len() >= MAX_NOTES {
            notes.pop_front();
        }
        notes.push_back(Note { sequence, actor, reason });
    }

    /// Keeps what comes back to a budget that has less than `amount`, and room in windows that it does not fit into.
    pub(super) fn keep_for(&mut self, now: Monotonic, amount: Amount) {
        let lacks_budget = self.0.books.balance.remaining < amount.units();
        let lacks_room = self.has_windows() && self.window_room(now) < amount.units();
        if lacks_budget || lacks_room {
            self.0.keeps = true;
            let kept = self.seldom_mut().kept.get_or_insert_default();
            if lacks_budget {
                kept.want(amount.units());
            }
            if lacks_room {
                kept.want_in_windows(amount);
            }
        }
    }

    /// Whether anything was kept until now.
    pub(super) fn stop_keeping(&mut self) -> bool {
        if self.0.keeps {
            self.seldom_mut().kept = None;
        }
        std::mem::take(&mut self.0.keeps)
    }

    /// The period that now is in: one that was granted.
    pub(super) fn show_period(&mut self, span: Span) {
        self.0.span = self.purse_mut().map_or(span, |purse| purse.narrow(span));
    }

    /// Lets go of what is set aside, when the ledger itself goes.
    pub(super) fn drop_holds(&mut self) {
        self.0.holds = None;
    }

    /// What the account has refused.
    pub(super) fn refused_mut(&mut self) -> &mut Refused {
        self.seldom_mut().refused.get_or_insert_default()
    }

    /// The windows of money, which let go of what is over when they are asked.
    #[inline]
    pub(super) fn limits(&mut self) -> Option<&mut Limits> {
        self.0.limits.as_deref_mut()
    }

    /// The windows of money, or of one resource.
    #[inline]
    pub(super) fn limits_of(&mut self, resource: Option<ResourceId>) -> Option<&mut Limits> {
        match resource {
            None => self.limits(),
            Some(id) => self.resource_mut(id)?.limits.as_deref_mut(),
        }
    }

    /// Whoever asks when it fits may mean what windows refused last, here or above.
    pub(super) fn remember_refused(&mut self, resource: Option<ResourceId>, amount: Amount) {
        if let Some((limits, _)) = self.limits_to_set(resource) {
            limits.get_or_insert_default().last_refused = amount;
        }
    }

    /// When the next reservation expires, and which one it is.
    pub(super) fn next_deadline(&mut self) -> Option<(Monotonic, u64)> {
        self.0.holds.as_deref_mut()?.next_deadline()
    }

    /// When the ledger's timers look at the reservations.
    pub(super) fn timer(&self) -> Option<Monotonic> {
        self.0.holds.as_deref()?.timer()
    }

    /// Returns the timer that was set before.
    pub(super) fn set_timer(&mut self, at: Option<Monotonic>) -> Option<Monotonic> {
        self.0.holds.as_deref_mut()?.set_timer(at)
    }

    /// An active reservation.
    #[inline]
    pub(super) fn hold(&self, number: u64) -> Option<&Held> {
        self.0.holds.as_deref()?.get(number)
    }

    /// The number that the next reservation gets.
    pub(super) fn next_reservation(&self) -> u64 {
        self.0.holds.as_deref().map_or(1, |holds| holds.made() + 1)
    }

    /// Looks at what a debit needs, for whoever wants it in the cache. The answer means nothing.
    #[inline]
    pub(super) fn glance(&self) -> u64 {
        u64::from(self.closed) + u64::from(self.books.balance.spent < 0) + u64::from(self.history.glance())
    }

    pub(super) fn active_reservations(&self) -> usize {
        self.0.holds.as_ref().map_or(0, |holds| holds.len())
    }
}

impl Inner {
    /// Whether what is kept for somebody else is not touched.
    #[cold]
    fn leaves_kept(&self, movement: &Movement) -> bool {
        let free = self.books.balance.remaining - self.kept();
        movement.asks().is_favored() || movement.needs() == i128::MIN || free >= movement.needs()
    }

    fn keeping(&self) -> Option<&Kept> {
        self.seldom()?.kept.as_ref()
    }

    /// Units of what remains that are kept for a call that waits.
    pub(super) fn kept(&self) -> i128 {
        self.keeping().map_or(0, |kept| kept.of(self.books.balance.remaining))
    }

    /// Room in the windows that is kept for a call that waits.
    pub(super) fn kept_in_windows(&self) -> Amount {
        self.keeping().map_or(Amount::ZERO, Kept::in_windows)
    }

    /// Whether so much can never be had here: it is more than the account was granted, and will be granted, or more than
    /// a window admits.
    pub(super) fn never_holds(&self, lack: Lack, units: i128) -> bool {
        if self.mode.is_lenient() {
            return false;
        }
        let balance = &self.books.balance;
        let later = self.renewals().map_or(0, |renewals| match renewals.periods.rollover {
            // What credits have may still be there by then.
            Rollover::Nothing => renewals.budget.units() + self.credits_left() + self.credits_reserved(),
            Rollover::All | Rollover::AtMost(_) => i128::MAX,
        });
        match lack {
            Lack::Budget => {
                let ever = self.books.period_granted().max(balance.remaining + balance.reserved);
                units > ever.max(later)
            }
            Lack::Window => self.limits.as_deref().is_some_and(|limits| limits.never_holds(units)),
        }
    }
}
