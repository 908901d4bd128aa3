//! Shares into whole units, by largest remainder: the sum is exact and no room is exceeded.

/// Units for each share of `whole`, `rooms` at most, `sum` in all. Shares add up to `sum / whole`, but for
/// rounding; there is room for all of it.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "made exact below")]
pub(super) fn apportion(shares: &[f64], rooms: &[i128], whole: i128, sum: i128) -> Vec<i128> {
    let ideals: Vec<f64> = shares.iter().map(|share| share * whole as f64).collect();
    let mut units: Vec<i128> =
        ideals.iter().zip(rooms).map(|(ideal, &room)| (ideal.floor() as i128).clamp(0, room)).collect();
    let rest = sum - units.iter().sum::<i128>();
    if rest < 0 {
        take(&mut units, -rest);
    } else if rest > 0 {
        let mut order: Vec<usize> = (0..shares.len()).collect();
        let remainder = |k: usize| ideals[k] - units[k] as f64;
        order.sort_by(|&a, &b| remainder(b).total_cmp(&remainder(a)));
        // What the solution left at nothing, a floor, stays there, unless nobody else has room.
        let (between, at_nothing): (Vec<usize>, Vec<usize>) =
            order.into_iter().partition(|&k| shares[k] > 0.0);
        let rest = give(&mut units, rooms, &between, rest);
        give(&mut units, rooms, &at_nothing, rest);
    }
    units
}

/// Hands out the rest, a unit each in this order, or evenly where a float's error is many units; returns what
/// found no room.
fn give(units: &mut [i128], rooms: &[i128], order: &[usize], mut rest: i128) -> i128 {
    let mut open: Vec<usize> = order.iter().copied().filter(|&k| units[k] < rooms[k]).collect();
    while rest > 0 && !open.is_empty() {
        let each = (rest / i128::try_from(open.len()).unwrap_or(i128::MAX)).max(1);
        for &k in &open {
            let more = each.min(rooms[k] - units[k]).min(rest);
            units[k] += more;
            rest -= more;
        }
        open.retain(|&k| units[k] < rooms[k]);
    }
    rest
}

/// Takes back what the floats' error made too much, where it is relatively least.
fn take(units: &mut [i128], mut excess: i128) {
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by_key(|&k| std::cmp::Reverse(units[k]));
    for k in order {
        let less = units[k].min(excess);
        units[k] -= less;
        excess -= less;
    }
}
