//! A pool's pie: what remains of it, dealt out to the agents below.

use super::max_min::{Claim, Shares, max_min_shares};
/// A share of something, in billionths.
pub type Billionths = u64;

const WHOLE: u128 = 1_000_000_000;

/// Units in one whole.
const UNITS: f64 = 1e9;

/// More than any pie: what somebody needs who could use all of it.
const BOUNDLESS: u128 = 1 << 100;

/// What holds for all agents of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The least that an agent has, as a share of what its period began with.
    pub floor: Billionths,
    /// What is kept back, as a share of the pie.
    pub reserve: Billionths,
    /// The most that one budget changes, as a share of what its period began with.
    pub max_change: Option<Billionths>,
}

/// An agent at the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guest {
    /// What it has, in units.
    pub remaining: i128,
    /// What its period began with, in units.
    pub initial: i128,
    /// What it can use, in wholes; infinite for as much as there is.
    pub need: f64,
    /// How much it counts.
    pub weight: f64,
    /// It keeps what it has.
    pub is_fixed: bool,
}

/// A pie that is dealt out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Division {
    /// What each has now, in units, in the order of the guests.
    pub budgets: Vec<i128>,
    /// What is kept back, in units.
    pub reserve: i128,
    /// False if there is less than all floors.
    pub floors_hold: bool,
}

/// Deals a pie of `pie` units out. Floors come before the reserve, and nothing before those who keep what they have.
#[must_use]
pub fn deal(pie: i128, guests: &[Guest], rule: Rule) -> Division {
    let pie = pie.max(0).unsigned_abs();
    let kept = guests.iter().filter(|guest| guest.is_fixed).map(Guest::has).sum::<u128>();
    let there = pie.saturating_sub(kept);
    let movable = || guests.iter().filter(|guest| !guest.is_fixed);
    let floors = movable().map(|guest| guest.floor(rule)).sum::<u128>();
    let claims: Vec<_> = movable().map(|guest| guest.claim(rule)).collect();
    let held = claims.iter().map(|claim| claim.floor).sum::<u128>();
    // Where budgets may not fall by much at once, they leave less than was to be kept back.
    let dealt = (pie - part(pie, rule.reserve)).saturating_sub(kept).max(held).min(there);
    let Shares { units, .. } = max_min_shares(dealt, &claims);
    let mut shares = movable().zip(units).map(|(guest, units)| units.max(guest.bounds(rule).0).cast_signed());
    let mut new = |guest: &Guest| if guest.is_fixed { None } else { shares.next() };
    let mut budgets: Vec<_> = guests.iter().map(|guest| new(guest).unwrap_or(guest.remaining)).collect();
    if is_dust(guests, &budgets) {
        budgets = guests.iter().map(|guest| guest.remaining).collect();
    }
    Division { budgets, reserve: (there - dealt).cast_signed(), floors_hold: floors <= there }
}

/// Whether nothing but the last unit of some moves back and forth. Needs are floats, and tremble.
fn is_dust(guests: &[Guest], budgets: &[i128]) -> bool {
    let moved = guests.iter().zip(budgets).map(|(guest, new)| new - guest.remaining);
    moved.clone().all(|change| change.abs() <= 1) && moved.sum::<i128>() == 0
}

/// A share of an amount, rounded down.
const fn part(units: u128, share: Billionths) -> u128 {
    units / WHOLE * share as u128 + units % WHOLE * share as u128 / WHOLE
}

impl Guest {
    fn has(&self) -> u128 {
        self.remaining.max(0).unsigned_abs()
    }

    fn floor(&self, rule: Rule) -> u128 {
        part(self.initial.max(0).unsigned_abs(), rule.floor)
    }

    /// The least and the most that it can have after one change.
    fn bounds(&self, rule: Rule) -> (u128, u128) {
        rule.max_change.map_or((0, BOUNDLESS), |share| {
            let step = part(self.initial.max(0).unsigned_abs(), share);
            (self.has().saturating_sub(step), self.has() + step)
        })
    }

    fn claim(&self, rule: Rule) -> Claim {
        let floor = self.floor(rule);
        let (least, most) = self.bounds(rule);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let units = |wholes: f64| ((wholes * UNITS) as u128).min(BOUNDLESS);
        Claim {
            need: units(self.need),
            weight: units(self.weight).max(1),
            floor: floor.max(least).min(most),
            ceiling: most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { floor: 100_000_000, reserve: 200_000_000, max_change: None };

    fn guest(need: f64, weight: f64) -> Guest {
        Guest { remaining: 50, initial: 50, need, weight, is_fixed: false }
    }

    #[test]
    fn without_history_weights_decide() {
        let guests = [4.0, 2.0, 1.0, 0.5].map(|weight| guest(f64::INFINITY, weight));
        let division = deal(1_000, &guests, RULE);
        assert_eq!(division.budgets, [427, 213, 107, 53]);
        assert_eq!((division.reserve, division.floors_hold), (200, true));
    }

    #[test]
    fn what_is_fixed_is_taken_off_first() {
        let guests = [Guest { remaining: 300, is_fixed: true, ..guest(1.0, 1.0) }, guest(1.0, 1.0)];
        let division = deal(1_000, &guests, RULE);
        assert_eq!((division.budgets, division.reserve), (vec![300, 500], 200));
        let division = deal(250, &guests, RULE);
        assert_eq!((division.budgets, division.reserve), (vec![300, 0], 0));
        assert!(!division.floors_hold);
    }

    #[test]
    fn floors_come_before_the_reserve() {
        let guests = [guest(0.0, 1.0), guest(1.0, 1.0)];
        assert_eq!(deal(11, &guests, RULE), Division { budgets: vec![5, 5], reserve: 1, floors_hold: true });
        assert_eq!(deal(4, &guests, RULE), Division { budgets: vec![2, 2], reserve: 0, floors_hold: false });
        assert_eq!(deal(-3, &guests, RULE).budgets, [0, 0]);
    }

    #[test]
    fn no_budget_moves_by_more_than_it_may() {
        let guests = [guest(0.0, 1.0), guest(1.0, 1.0)];
        let rule = Rule { max_change: Some(200_000_000), ..RULE };
        assert_eq!(deal(125, &guests, rule).budgets, [40, 60]);
        assert_eq!(deal(10_000, &guests, rule).budgets, [60, 60]);
        let rule = Rule { max_change: Some(20_000_000), ..RULE };
        let division = |pie| deal(pie, &guests, rule);
        assert_eq!(division(110), Division { budgets: vec![49, 49], reserve: 12, floors_hold: true });
        assert_eq!(division(80), Division { budgets: vec![49, 49], reserve: 0, floors_hold: true });
    }

    #[test]
    fn dust_stays_where_it_is() {
        let guests = [49, 51].map(|remaining| Guest { remaining, ..guest(1.0, 1.0) });
        assert_eq!(deal(125, &guests, RULE).budgets, [49, 51]);
        assert_eq!(deal(127, &guests, RULE).budgets, [51, 51]);
    }

    #[test]
    fn an_overdraft_is_paid_back() {
        let guests = [Guest { remaining: -20, ..guest(1.0, 1.0) }];
        assert_eq!(deal(100, &guests, RULE).budgets, [80]);
    }
}
