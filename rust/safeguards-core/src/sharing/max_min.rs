//! Weighted max-min fairness: nobody can get more but from somebody who has less for their weight.
//!
//! Water is poured over basins as wide as the weights, until all of it is in: one level for all, but none below its
//! floor or above its brim (Bertsekas & Gallager 1992, "Data Networks", section 6.5.2; the level by sorting). The
//! level is a fraction of two integers, so every share is exact until it is rounded to whole units, by largest
//! remainders.

use std::cmp::{Ordering, Reverse};

use super::wide::{cmp_products, mul_div};

/// What one claims of a total, in units. All of it, and all totals, are below 2^126.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What it can use.
    pub need: u128,
    /// How much it counts, against the others.
    pub weight: u128,
    /// The least that it gets.
    pub floor: u128,
    /// The most that it gets.
    pub ceiling: u128,
}

/// What each gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// In the order of the claims. They add up to the total, or to all ceilings if that is less.
    pub units: Vec<u128>,
    /// False if all floors add up to more than the total: then each gets its part of the total by its floor.
    pub floors_hold: bool,
}

/// How a share grows with the level.
#[derive(Clone, Copy, Debug)]
struct Basin {
    width: u128,
    floor: u128,
    brim: u128,
}

/// Divides `total`: first up to the needs, by max-min fairness and weights; what is left over in proportion to the
/// needs, and by weights where nobody has any. Takes O(n log n).
#[must_use]
pub fn max_min_shares(total: u128, claims: &[Claim]) -> Shares {
    let floors: u128 = claims.iter().map(|claim| claim.floor).sum();
    if floors > total {
        let shrunk: Vec<_> =
            claims.iter().map(|c| Basin { width: c.floor, floor: 0, brim: c.floor }).collect();
        return Shares { units: pour(total, &shrunk), floors_hold: false };
    }
    let needed = |claim: &Claim| claim.need.min(claim.ceiling).max(claim.floor);
    let basins: Vec<_> = claims
        .iter()
        .map(|claim| Basin { width: claim.weight, floor: claim.floor, brim: needed(claim) })
        .collect();
    let mut units = pour(total, &basins);
    for width in [|claim: &Claim| claim.need, |claim: &Claim| claim.weight] {
        let left = total - units.iter().sum::<u128>();
        if left == 0 {
            break;
        }
        let room = |(claim, got): (&Claim, &u128)| claim.ceiling.max(claim.floor) - got;
        let basins: Vec<_> = claims
            .iter()
            .zip(&units)
            .map(|pair| Basin { width: width(pair.0), floor: 0, brim: room(pair).min(left) })
            .collect();
        let is_bounded = basins.iter().any(|basin| basin.brim < left);
        let more = if is_bounded { pour(left, &basins) } else { split(left, &basins) };
        units.iter_mut().zip(more).for_each(|(got, more)| *got += more);
    }
    Shares { units, floors_hold: true }
}

/// Where a basin stands as the water rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Floor,
    Filling,
    Full,
}

/// A level at which a basin begins to fill, or is full.
struct Bend {
    /// The level, off by less than `CLOSE` of itself.
    near: f64,
    index: usize,
    next: Stage,
}

/// Levels that differ by less, as a share, are compared exactly.
const CLOSE: f64 = 1e-14;

impl Bend {
    fn new(index: usize, basin: &Basin, next: Stage) -> Self {
        let mut bend = Self { near: 0.0, index, next };
        #[expect(clippy::cast_precision_loss, reason = "three roundings of 2^-53 each")]
        {
            bend.near = bend.height(basin) as f64 / basin.width as f64;
        }
        bend
    }

    /// What is in the basin then: the level times its width.
    const fn height(&self, basin: &Basin) -> u128 {
        if matches!(self.next, Stage::Filling) { basin.floor } else { basin.brim }
    }

    fn cmp(&self, other: &Self, basins: &[Basin]) -> Ordering {
        if (self.near - other.near).abs() > CLOSE * self.near.max(other.near) {
            return self.near.total_cmp(&other.near);
        }
        let (own, its) = (&basins[self.index], &basins[other.index]);
        cmp_products((self.height(own), its.width), (other.height(its), own.width))
    }
}

/// Pours `total`, which is at least the sum of the floors. What exceeds all brims stays outside; a basin without
/// width stays at its floor.
fn pour(total: u128, basins: &[Basin]) -> Vec<u128> {
    let mut stages = vec![Stage::Floor; basins.len()];
    // What stands still, and the width of what rises.
    let (mut still, mut width) = (basins.iter().map(|basin| basin.floor).sum::<u128>(), 0);
    for bend in bends(basins) {
        let basin = &basins[bend.index];
        // Would it take all the water, and more, to get here?
        if cmp_products((width, bend.height(basin)), (total - still, basin.width)) != Ordering::Less {
            break;
        }
        stages[bend.index] = bend.next;
        if bend.next == Stage::Filling {
            (still, width) = (still - basin.floor, width + basin.width);
        } else {
            (still, width) = (still + basin.brim, width - basin.width);
        }
    }
    read(total - still, width, basins, &stages)
}

/// Levels at which a basin begins to fill and is full, lowest first.
fn bends(basins: &[Basin]) -> Vec<Bend> {
    let mut bends = Vec::with_capacity(2 * basins.len());
    for (index, basin) in basins.iter().enumerate().filter(|(_, basin)| basin.width > 0) {
        bends.push(Bend::new(index, basin, Stage::Filling));
        bends.push(Bend::new(index, basin, Stage::Full));
    }
    // Stable: where floor and brim are the same, it fills before it is full.
    bends.sort_by(|a, b| a.cmp(b, basins));
    bends
}

/// As [`pour`], where no basin has a floor, or a brim below the total: all fill to the end.
fn split(total: u128, basins: &[Basin]) -> Vec<u128> {
    let width = basins.iter().map(|basin| basin.width).sum();
    let stage = |basin: &Basin| if basin.width > 0 { Stage::Filling } else { Stage::Floor };
    read(total, width, basins, &basins.iter().map(stage).collect::<Vec<_>>())
}

/// What is in each basin when `rising` is spread over the width of those that fill; in whole units, by largest
/// remainders. Of equal ones the first gets the unit.
fn read(rising: u128, width: u128, basins: &[Basin], stages: &[Stage]) -> Vec<u128> {
    let mut remainders = Vec::new();
    let mut given = 0;
    let mut shares: Vec<_> = basins
        .iter()
        .zip(stages)
        .enumerate()
        .map(|(index, (basin, stage))| match stage {
            Stage::Floor => basin.floor,
            Stage::Full => basin.brim,
            Stage::Filling => {
                let (share, remainder) = mul_div(basin.width, rising, width);
                remainders.push((Reverse(remainder), index));
                given += share;
                share
            }
        })
        .collect();
    if let Some(missing) = usize::try_from(rising - given).ok().filter(|missing| *missing > 0)
        && missing < remainders.len()
    {
        remainders.select_nth_unstable(missing);
        remainders[..missing].iter().for_each(|(_, index)| shares[*index] += 1);
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(need: u128, weight: u128) -> Claim {
        Claim { need, weight, floor: 0, ceiling: u128::MAX >> 2 }
    }

    fn shares(total: u128, claims: &[Claim]) -> Vec<u128> {
        max_min_shares(total, claims).units
    }

    #[test]
    fn the_small_ones_get_what_they_need_and_the_others_by_weight() {
        assert_eq!(shares(100, &[claim(10, 1), claim(80, 1), claim(90, 2)]), [10, 30, 60]);
    }

    #[test]
    fn what_is_left_over_goes_by_need() {
        assert_eq!(shares(100, &[claim(10, 1), claim(40, 9)]), [20, 80]);
        assert_eq!(shares(100, &[claim(0, 1), claim(0, 3)]), [25, 75]);
    }

    #[test]
    fn of_equal_remainders_the_first_gets_the_unit() {
        assert_eq!(shares(5, &[claim(9, 1), claim(9, 1), claim(9, 1)]), [2, 2, 1]);
    }

    #[test]
    fn floors_that_do_not_fit_shrink_in_proportion() {
        let with_floor = |floor| Claim { floor, ..claim(0, 1) };
        let shares = max_min_shares(10, &[with_floor(30), with_floor(10)]);
        assert_eq!(shares, Shares { units: vec![8, 2], floors_hold: false });
    }

    #[test]
    fn what_no_ceiling_admits_stays() {
        let bounded = |ceiling| Claim { ceiling, ..claim(50, 1) };
        assert_eq!(shares(100, &[bounded(10), bounded(60)]), [10, 60]);
        assert_eq!(shares(100, &[]), []);
    }

    #[test]
    fn the_largest_amounts_and_weights() {
        let most = u128::from(u64::MAX) * 1_000_000;
        let claims = vec![Claim { floor: 1, ..claim(most, most - 1) }; 1_000];
        let units = shares(most, &claims);
        assert_eq!(units.iter().sum::<u128>(), most);
        assert!(units.iter().max().unwrap() - units.iter().min().unwrap() <= 1);
        assert_eq!(shares(most, &[claim(most / 2, 1), claim(most / 4, most)]), [most - most / 3, most / 3]);
    }

    prop_compose! {
        fn claims()(
            parts in prop::collection::vec((0..60_u128, 0..9_u128, 0..20_u128, 0..80_u128), 0..8),
        ) -> Vec<Claim> {
            parts.into_iter().map(|(need, weight, floor, room)| {
                Claim { need, weight: weight + 1, floor, ceiling: floor + room }
            }).collect()
        }
    }

    /// Parts that a unit is cut into for the definition.
    const CRUMBS: u128 = 16;

    /// One crumb after the other to whoever has the least for its weight: the definition, read aloud.
    fn crumb_by_crumb(total: u128, claims: &[Claim]) -> Vec<u128> {
        let mut shares: Vec<_> = claims.iter().map(|claim| claim.floor * CRUMBS).collect();
        let most = |claim: &Claim| claim.need.min(claim.ceiling) * CRUMBS;
        for _ in shares.iter().sum::<u128>()..total * CRUMBS {
            let open = (0..claims.len()).filter(|&i| shares[i] < most(&claims[i]));
            let Some(poorest) = open.min_by_key(|&i| shares[i] * 2_520 * 1_000 / claims[i].weight) else {
                break;
            };
            shares[poorest] += 1;
        }
        shares
    }

    proptest! {
        #[test]
        fn shares_are_exact_and_within_bounds(total in 0..600_u128, claims in claims()) {
            let Shares { units, floors_hold } = max_min_shares(total, &claims);
            let floors: u128 = claims.iter().map(|claim| claim.floor).sum();
            let ceilings: u128 = claims.iter().map(|claim| claim.ceiling).sum();
            prop_assert_eq!(floors_hold, floors <= total);
            prop_assert_eq!(units.iter().sum::<u128>(), total.min(ceilings));
            for (claim, got) in claims.iter().zip(&units) {
                prop_assert!(*got <= claim.ceiling && (*got >= claim.floor || !floors_hold));
            }
        }

        #[test]
        fn scarcity_is_shared_as_crumb_by_crumb(part in 0..=100_u128, claims in claims()) {
            let needed: u128 = claims.iter().map(|c| c.need.min(c.ceiling).max(c.floor)).sum();
            let floors: u128 = claims.iter().map(|claim| claim.floor).sum();
            let total = floors + (needed - floors) * part / 100;
            // Off by less than the unit that is rounded to, and a crumb that each of the others has early.
            let most = CRUMBS + 8;
            for (ours, theirs) in shares(total, &claims).iter().zip(crumb_by_crumb(total, &claims)) {
                prop_assert!((ours * CRUMBS).abs_diff(theirs) <= most, "{ours} {theirs}");
            }
        }
    }
}
