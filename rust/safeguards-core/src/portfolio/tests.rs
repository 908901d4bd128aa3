use proptest::prelude::*;

use super::{PortfolioError, Segment, Split, Terms, split};

const ONE: i128 = 1_000_000_000;

fn segment(agent: usize, expected: f64, deviation: f64, cap: Option<i128>) -> Segment {
    Segment { agent, expected, deviation, cap }
}

fn terms(total: i128, floor: i128, tolerance: f64) -> Terms {
    Terms { total, floor, tolerance }
}

#[test]
fn without_caps_the_closed_form_of_two_agents() {
    // 2 - 0.5 w = 1.9 - 0.4 (1 - w), so that w = 5/9.
    let two = [segment(0, 2.0, 0.5_f64.sqrt(), None), segment(1, 1.9, 0.4_f64.sqrt(), None)];
    let found = split(2, &two, &terms(9 * ONE, 0, 0.5)).unwrap();
    assert_eq!(found.agents, [5 * ONE, 4 * ONE]);
    let price = found.price.unwrap();
    assert!((price - 0.5 * (2.0 - 0.5 * 5.0 / 9.0)).abs() < 1e-12, "{price}");
}

#[test]
fn a_worse_segment_beside_one_without_a_cap_gets_nothing_however_sure_it_is() {
    let one = [segment(0, 2.0, 1.0, None), segment(0, 1.9, 0.0, None), segment(0, 3.0, 9.0, Some(ONE))];
    assert_eq!(split(1, &one, &terms(10 * ONE, 0, 1.0)).unwrap().segments, [9 * ONE, 0, ONE]);
    // 3 - 81 w = 2 - (1 - w) at w = 2/82, but its cap is 1/82.
    let found = split(1, &one, &terms(82 * ONE, 0, 0.5)).unwrap();
    assert_eq!(found.segments, [81 * ONE, 0, ONE]);
}

#[test]
fn what_floats_cannot_tell_of_a_huge_total_is_not_put_on_floors() {
    let three = [segment(0, 2.0, 0.3, None), segment(1, 1.0, 0.1, None), segment(2, 2.0, 0.3, None)];
    let huge = 999_999_999_999_999_999_999_999;
    let found = split(3, &three, &terms(huge, huge / 7, 1.0)).unwrap();
    assert_eq!(found.agents[1], huge / 7);
    assert_eq!(found.agents.iter().sum::<i128>(), huge);
    assert!((found.agents[0] - found.agents[2]).abs() <= huge / 1_000_000_000_000_000);
}

#[test]
fn the_ends_of_the_tolerance_are_limits() {
    let equal = [segment(0, 2.0, 1.0, None), segment(1, 2.0, 2.0, None), segment(2, 1.0, 0.0, None)];
    // 1: the best return; between equal ones the least variance, 1 : 4.
    assert_eq!(split(3, &equal, &terms(5 * ONE, 0, 1.0)).unwrap().agents, [4 * ONE, ONE, 0]);
    // 0: the least variance; what has none takes all.
    assert_eq!(split(3, &equal, &terms(5 * ONE, 0, 0.0)).unwrap().agents, [0, 0, 5 * ONE]);
    let sure = [segment(0, 2.0, 0.0, None), segment(1, 2.0, 0.0, Some(ONE)), segment(2, 2.0, 0.0, None)];
    for tolerance in [0.0, 0.3, 1.0] {
        let found = split(3, &sure, &terms(9 * ONE, 0, tolerance)).unwrap();
        assert_eq!(found.agents, [4 * ONE, ONE, 4 * ONE], "{tolerance}");
    }
}

#[test]
fn a_deviation_too_small_for_floats_is_none() {
    let two = [segment(0, 1.0, 1e-160, None), segment(1, 1.0, 1e-9, None)];
    let found = split(2, &two, &terms(10 * ONE, 0, 0.5)).unwrap();
    assert_eq!(found.agents.iter().sum::<i128>(), 10 * ONE);
}

#[test]
fn what_caps_leave_over_has_no_price() {
    let two = [segment(0, 1.0, 0.1, Some(ONE)), segment(1, 2.0, 0.1, Some(3))];
    let found = split(2, &two, &terms(10 * ONE, 0, 0.5)).unwrap();
    assert_eq!(found, Split { segments: vec![ONE, 3], agents: vec![ONE, 3], price: None });
}

#[test]
fn floors_that_cannot_be_kept_are_refused() {
    let two = [segment(0, 1.0, 0.1, Some(5)), segment(1, 2.0, 0.1, None)];
    let refused = |floor| split(2, &two, &terms(20, floor, 0.5)).unwrap_err();
    assert_eq!(refused(11), PortfolioError::FloorsAboveTotal { agents: 2 });
    assert_eq!(refused(i128::MAX), PortfolioError::FloorsAboveTotal { agents: 2 });
    assert_eq!(refused(6), PortfolioError::FloorAboveCaps { agent: 0, usable: 5 });
}

fn problems() -> impl Strategy<Value = (usize, Vec<Segment>, Terms)> {
    let one = (0..4_usize, 0..20_i32, 0..5_i32, prop::option::of(0..2_000_000_000_i128));
    (prop::collection::vec(one, 1..12), 0..3_000_000_000_i128, 0..20_i128, 0..=10_i32).prop_map(
        |(raw, total, floor, tolerance)| {
            let mut names: Vec<usize> = raw.iter().map(|(agent, ..)| *agent).collect();
            names.sort_unstable();
            names.dedup();
            let number = |agent| names.iter().position(|&name| name == agent).unwrap();
            let segments = raw
                .iter()
                .map(|&(agent, r, s, cap)| {
                    segment(number(agent), f64::from(r) / 4.0, f64::from(s) / 3.0, cap)
                })
                .collect();
            (names.len(), segments, terms(total, total * floor / 100, f64::from(tolerance) / 10.0))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn sums_are_exact_and_no_move_of_money_is_an_improvement((agents, segments, terms) in problems()) {
        let Ok(found) = split(agents, &segments, &terms) else { return Ok(()) };
        let usable: i128 = (0..agents).map(|agent| usable(&segments, agent, terms.total)).sum();
        prop_assert_eq!(found.agents.iter().sum::<i128>(), usable.min(terms.total));
        for (agent, &units) in found.agents.iter().enumerate() {
            let own = (0..segments.len()).filter(|&k| segments[k].agent == agent);
            prop_assert_eq!(own.map(|k| found.segments[k]).sum::<i128>(), units);
            prop_assert!(units >= terms.floor);
        }
        for (k, segment) in segments.iter().enumerate() {
            prop_assert!((0..=segment.cap.unwrap_or(terms.total)).contains(&found.segments[k]));
        }
        for (from, a) in segments.iter().enumerate() {
            for (to, b) in segments.iter().enumerate() {
                let may_leave = a.agent == b.agent || found.agents[a.agent] > terms.floor;
                let has_room = b.cap.is_none_or(|cap| found.segments[to] < cap) && reachable(&segments, to);
                if found.segments[from] > 2 && may_leave && has_room {
                    let (gain, loss) = (worth(b, found.segments[to], &terms), worth(a, found.segments[from], &terms));
                    prop_assert!(gain - loss < rounding(&terms), "{from} -> {to}: {loss} -> {gain} in {found:?}");
                }
            }
        }
    }
}

fn usable(segments: &[Segment], agent: usize, total: i128) -> i128 {
    let own = segments.iter().filter(|segment| segment.agent == agent);
    own.map(|segment| segment.cap.unwrap_or(total)).sum::<i128>().min(total)
}

/// Whether the agent may put money there: nothing that it can always put money in is better.
fn reachable(segments: &[Segment], k: usize) -> bool {
    let mut rivals = segments.iter().filter(|one| one.agent == segments[k].agent && one.cap.is_none());
    rivals.all(|rival| rival.expected <= segments[k].expected)
}

#[expect(clippy::cast_precision_loss, reason = "compared with a tolerance")]
fn worth(segment: &Segment, units: i128, terms: &Terms) -> f64 {
    let share = units as f64 / terms.total as f64;
    terms.tolerance * segment.expected - (1.0 - terms.tolerance) * segment.deviation.powi(2) * share
}

/// What the rounding to whole units is worth, which is much where the total is a few of them.
#[expect(clippy::cast_precision_loss, reason = "compared with a tolerance")]
fn rounding(terms: &Terms) -> f64 {
    1e-6 + 8.0 / terms.total as f64
}
