//! The credits of one account: what of each is left, set aside and spent.
//!
//! The money of an account is its base and its credits, and only the credits are kept: the base is what remains beside
//! them. What is debited is told apart late. It fills the credits in the order in which they end, and nothing else
//! happens to them between two [`sync`](Purse::sync)s; so a debit writes nothing here, and what it came from follows from
//! how much was spent since the last one. What is *reserved* of credits is told apart at once, because it may come back
//! when others are first in the order, or have ended: each reservation that holds part of a credit has a *claim*.
//!
//! A charge that is given back comes from what was spent in its *stretch*, the time between two credits that begin or end:
//! the newest stretches remember how much each source has paid.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};

use foldhash::quality::RandomState;
use smallvec::SmallVec;

use super::super::balance::{Balance, HoldKey};
use super::super::period::Span;
use crate::amount::Amount;
use crate::clock::Wall;

/// What tells a credit from all others of a ledger. Credits of several accounts that were made in one step share it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CreditId(pub u64);

/// Where a credit stands. `amount = left + reserved + spent + gone`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// Its id.
    pub id: CreditId,
    /// What it began with.
    pub amount: Amount,
    /// Units that can still be spent.
    pub left: i128,
    /// Units that active reservations hold of it.
    pub reserved: i128,
    /// Units that were charged to it, or have filled what was below zero.
    pub spent: i128,
    /// Units that it ended with, that came back to it since, or that were cut off by a smaller budget.
    pub gone: i128,
    /// When it ends.
    pub expires_at: Wall,
    /// Whether it has.
    pub has_ended: bool,
}

/// Running credits of one account, at most.
pub const MAX_CREDITS: usize = 1_024;

/// Credits that have ended and of which nothing is reserved any more: so many of an account can still be read.
const MAX_ENDED: usize = 64;

/// Stretches of which it is remembered who has paid. Older ones are taken together.
const MAX_STRETCHES: usize = 64;

/// The credits of an account.
#[derive(Clone, Debug)]
pub(in super::super) struct Purse {
    /// In the order in which they end.
    running: Vec<Credit>,
    /// In the order in which they have ended.
    ended: VecDeque<Credit>,
    /// What reservations hold of credits.
    claims: HashMap<HoldKey, Parts, RandomState>,
    /// Oldest first, one at least.
    stretches: VecDeque<Stretch>,
    /// What the account had spent when that was last told apart.
    told: i128,
    /// The current period of the account: its span ends no later than the first credit. No part of the state.
    period: Span,
}

/// Units of credits, in the order in which they end.
type Parts = SmallVec<[(CreditId, i128); 2]>;

/// Who has paid for what was spent between two instants at which a credit or a period began or ended.
#[derive(Clone, Debug, Default)]
struct Stretch {
    /// Of the periods of all accounts and their credits, the one that it began with.
    era: u64,
    base: i128,
    /// Those that have ended long ago by the id 0.
    credits: Parts,
}

/// How a charge is given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct GivenBack {
    /// Units that the base had paid.
    pub(in super::super) base: i128,
    /// Units of credits that still run.
    pub(in super::super) running: i128,
    /// Units of credits that have ended.
    pub(in super::super) ended: i128,
}

impl GivenBack {
    /// Of a charge that the base had paid.
    pub(super) const fn of_base(units: i128) -> Self {
        Self { base: units, running: 0, ended: 0 }
    }
}

impl Credit {
    pub(super) fn new(id: CreditId, amount: Amount, expires_at: Wall) -> Self {
        let left = amount.units();
        Self { id, amount, left, reserved: 0, spent: 0, gone: 0, expires_at, has_ended: false }
    }

    fn is_whole(&self) -> bool {
        let Self { left, reserved, spent, gone, .. } = *self;
        [left, reserved, spent, gone].iter().all(|units| *units >= 0)
            && left + reserved + spent + gone == self.amount.units()
    }
}

impl Purse {
    pub(super) fn new(balance: &Balance, period: Span, era: u64) -> Self {
        Self {
            running: Vec::new(),
            ended: VecDeque::new(),
            claims: HashMap::default(),
            stretches: VecDeque::from([Stretch { era, ..Stretch::default() }]),
            told: balance.spent,
            period,
        }
    }

    /// The period of the account.
    pub(in super::super) const fn period(&self) -> Span {
        self.period
    }

    /// Takes the period of the account. Returns the part of it in which no credit ends.
    pub(in super::super) fn narrow(&mut self, period: Span) -> Span {
        self.period = period;
        let ends = self.running.first().map_or(Wall::NEVER, |credit| credit.expires_at);
        Span { begins: period.begins, ends: period.ends.min(ends) }
    }

    /// Units that can still be spent of all credits, at this balance.
    pub(in super::super) fn left(&self, balance: &Balance) -> i128 {
        let untold = balance.spent - self.told;
        (self.sum() - untold).clamp(0, balance.remaining.max(0))
    }

    /// As it was when it was last told apart, without regard to what is below zero.
    fn sum(&self) -> i128 {
        self.running.iter().map(|credit| credit.left).sum()
    }

    /// Units that are reserved of all credits, also of those that have ended.
    pub(in super::super) fn reserved(&self) -> i128 {
        self.all().map(|credit| credit.reserved).sum()
    }

    /// Units that reservations hold of credits that have ended.
    pub(super) fn lapsing(&self) -> i128 {
        self.ended.iter().map(|credit| credit.reserved).sum()
    }

    pub(super) fn is_full(&self) -> bool {
        self.running.len() >= MAX_CREDITS
    }

    /// The first credit, if it has ended by now.
    pub(super) fn first_due(&self, now: Wall) -> Option<CreditId> {
        self.running.first().filter(|credit| credit.expires_at <= now).map(|credit| credit.id)
    }

    fn all(&self) -> impl Iterator<Item = &Credit> {
        self.ended.iter().chain(&self.running)
    }

    /// Every credit that is remembered, as at this balance: those that have ended first.
    pub(in super::super) fn list(&self, balance: &Balance) -> Vec<Credit> {
        let mut synced = self.clone();
        synced.close_stretch(balance);
        synced.all().copied().collect()
    }

    /// Tells apart what was spent since the last time.
    pub(super) fn sync(&mut self, balance: &Balance) {
        self.charge(balance.spent - self.told);
        self.told = balance.spent;
    }

    /// Charges the credits in their order, and the base with the rest.
    fn charge(&mut self, units: i128) {
        let mut parts = Parts::new();
        let base = draw(&mut self.running, units, |credit, part| {
            credit.spent += part;
            parts.push((credit.id, part));
        });
        self.note(base, &parts);
    }

    /// Remembers who has paid.
    fn note(&mut self, base: i128, parts: &[(CreditId, i128)]) {
        let Some(stretch) = self.stretches.back_mut() else { return };
        stretch.base += base;
        for part in parts {
            stretch.add(*part);
        }
    }

    /// To be called before a credit begins or ends, or budget is set. Where the base is below zero, the credits fill it, so
    /// that each of their units that is left remains. Not before: what the base gets back meanwhile is no matter of theirs.
    pub(super) fn close_stretch(&mut self, balance: &Balance) {
        self.sync(balance);
        let missing = self.sum() - balance.remaining.max(0);
        draw(&mut self.running, missing, |credit, part| credit.spent += part);
    }

    /// A credit begins.
    pub(super) fn begin(&mut self, credit: Credit, era: u64) {
        let place = self
            .running
            .partition_point(|other| (other.expires_at, other.id) <= (credit.expires_at, credit.id));
        self.running.insert(place, credit);
        self.begin_stretch(era);
    }

    /// A credit ends. Returns what was left of it.
    pub(super) fn end(&mut self, id: CreditId, era: u64) -> i128 {
        let Some(place) = self.running.iter().position(|credit| credit.id == id) else { return 0 };
        let mut credit = self.running.remove(place);
        let left = std::mem::take(&mut credit.left);
        credit.gone += left;
        credit.has_ended = true;
        self.ended.push_back(credit);
        self.begin_stretch(era);
        self.forget_ended();
        left
    }

    /// Forgets credits that ended long ago and of which nothing is reserved.
    fn forget_ended(&mut self) {
        let mut surplus =
            self.ended.iter().filter(|credit| credit.reserved == 0).count().saturating_sub(MAX_ENDED);
        self.ended.retain(|credit| {
            let is_surplus = surplus > 0 && credit.reserved == 0;
            surplus -= usize::from(is_surplus);
            !is_surplus
        });
    }

    /// From now on it is told apart who has paid.
    pub(super) fn begin_stretch(&mut self, era: u64) {
        self.stretches.push_back(Stretch { era, ..Stretch::default() });
        if self.stretches.len() > MAX_STRETCHES
            && let Some(oldest) = self.stretches.pop_front()
            && let Some(next) = self.stretches.front_mut()
        {
            next.absorb(oldest, &self.running);
        }
    }

    /// Makes no more than `units` be left of all credits: the one that ends last is cut first.
    pub(super) fn cut(&mut self, units: i128) {
        let excess = self.sum() - units;
        draw(self.running.iter_mut().rev(), excess, |credit, part| credit.gone += part);
    }

    /// Sets units aside for a reservation: of the credits in their order, and of the base.
    pub(super) fn reserve(&mut self, key: HoldKey, units: i128) {
        let mut parts = Parts::new();
        draw(&mut self.running, units, |credit, part| {
            credit.reserved += part;
            parts.push((credit.id, part));
        });
        if !parts.is_empty() {
            self.claims.insert(key, parts);
        }
    }

    /// Ends a reservation: so much of what it held is charged, and what else it costs beside it; the rest goes back to
    /// where it came from. Credits that have ended pay first, the base last. Returns what came back to ended ones: it is
    /// gone.
    pub(super) fn settle(&mut self, key: HoldKey, held: i128, charged: i128) -> i128 {
        let mut claims = self.claims.remove(&key).unwrap_or_default();
        claims.sort_by_key(|(id, _)| self.running.iter().any(|credit| credit.id == *id));
        let (mut unpaid, mut gone, mut paid) = (charged.min(held), 0, Parts::new());
        for (id, claim) in claims {
            let part = claim.min(unpaid);
            unpaid -= part;
            let Some(credit) = self.find(id) else { continue };
            credit.reserved -= claim;
            credit.spent += part;
            let back = claim - part;
            if credit.has_ended {
                credit.gone += back;
                gone += back;
            } else {
                credit.left += back;
            }
            if part > 0 {
                paid.push((id, part));
            }
        }
        self.note(unpaid, &paid);
        self.charge(charged - held);
        self.forget_ended();
        gone
    }

    /// What was spent by now has been told apart, otherwise than as debits are.
    pub(super) const fn told(&mut self, spent: i128) {
        self.told = spent;
    }

    /// Gives back so much of a charge that was made in an era. What was charged last in its stretch comes back first: the
    /// base, then the credits, the one that ends last first.
    pub(super) fn refund(&mut self, units: i128, era: u64) -> GivenBack {
        let mut given = GivenBack::of_base(units);
        let place = self.stretches.partition_point(|stretch| stretch.era <= era).checked_sub(1);
        let Some(stretch) = place.and_then(|place| self.stretches.get_mut(place)) else { return given };
        let base = units.min(stretch.base);
        stretch.base -= base;
        let mut rest = units - base;
        let mut credits = std::mem::take(&mut stretch.credits);
        credits.sort_by_key(|(id, _)| {
            let credit = self.all().find(|credit| credit.id == *id);
            Reverse(credit.map(|credit| (!credit.has_ended, credit.expires_at, credit.id)))
        });
        for (id, paid) in &mut credits {
            let part = rest.min(*paid);
            *paid -= part;
            rest -= part;
            match self.find(*id) {
                Some(credit) if !credit.has_ended => {
                    (credit.spent, credit.left) = (credit.spent - part, credit.left + part);
                    given.running += part;
                }
                Some(credit) => {
                    (credit.spent, credit.gone) = (credit.spent - part, credit.gone + part);
                    given.ended += part;
                }
                None => given.ended += part,
            }
        }
        credits.retain(|(_, paid)| *paid > 0);
        if let Some(stretch) = place.and_then(|place| self.stretches.get_mut(place)) {
            stretch.credits = credits;
        }
        // What a charge of another stretch has taken from here is the base's.
        given.base = base + rest;
        given
    }

    fn find(&mut self, id: CreditId) -> Option<&mut Credit> {
        self.running.iter_mut().chain(&mut self.ended).find(|credit| credit.id == id)
    }

    /// What does not hold, if anything.
    pub(in super::super) fn fault(&self, balance: &Balance) -> Option<String> {
        let mut synced = self.clone();
        synced.close_stretch(balance);
        if let Some(credit) = synced.all().find(|credit| !credit.is_whole()) {
            return Some(format!("a credit does not add up: {credit:?}"));
        }
        let mut claimed: HashMap<CreditId, i128> = HashMap::new();
        for (id, units) in self.claims.values().flatten() {
            *claimed.entry(*id).or_default() += units;
        }
        let unclaimed =
            synced.all().find(|it| it.reserved != claimed.get(&it.id).copied().unwrap_or_default());
        if let Some(credit) = unclaimed {
            return Some(format!("what is reserved of a credit is not what reservations hold: {credit:?}"));
        }
        let reserved = synced.reserved();
        (reserved > balance.reserved)
            .then(|| format!("{reserved} of credits are reserved, and {} in all", balance.reserved))
    }

    /// In words, for comparing two ledgers.
    pub(in super::super) fn lines(&self, balance: &Balance) -> Vec<String> {
        let mut synced = self.clone();
        synced.sync(balance);
        let mut lines: Vec<_> = synced.all().map(|credit| format!("  {credit:?}")).collect();
        let mut claims: Vec<_> = synced.claims.iter().collect();
        claims.sort_unstable_by_key(|(key, _)| **key);
        lines.extend(claims.iter().map(|(key, parts)| format!("  claim {key:?} {parts:?}")));
        // Without the eras: a begin that could not be written leaves a gap.
        let paid = |Stretch { base, credits, .. }: &Stretch| format!("  paid {base} {credits:?}");
        lines.extend(synced.stretches.iter().map(paid));
        lines
    }
}

impl Stretch {
    fn add(&mut self, (id, units): (CreditId, i128)) {
        match self.credits.iter_mut().find(|(other, _)| *other == id) {
            Some((_, paid)) => *paid += units,
            None => self.credits.push((id, units)),
        }
    }

    /// Takes in the stretch before it. Which of the credits that do not run any more have paid is forgotten.
    fn absorb(&mut self, older: Self, running: &[Credit]) {
        let Self { era, base, credits } = older;
        let newer = std::mem::replace(&mut self.credits, Parts::new());
        (self.era, self.base) = (era, self.base + base);
        for (id, units) in credits.into_iter().chain(newer) {
            let is_running = running.iter().any(|credit| credit.id == id);
            self.add((if is_running { id } else { CreditId::default() }, units));
        }
    }
}

/// Takes units of what is left of credits, in this order. Returns how many are missing.
fn draw<'a>(
    credits: impl IntoIterator<Item = &'a mut Credit>,
    units: i128,
    mut take: impl FnMut(&mut Credit, i128),
) -> i128 {
    let mut missing = units.max(0);
    for credit in credits {
        let part = credit.left.min(missing);
        if part > 0 {
            credit.left -= part;
            missing -= part;
            take(credit, part);
        }
    }
    missing
}
