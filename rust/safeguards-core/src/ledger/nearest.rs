//! What somebody meant by an id that is none: the closest that there is.

use std::sync::Arc;

use super::Ledger;
use super::account::{Account, Kind};

/// Ids that are looked at, at most: an error must not cost more than a few milliseconds.
const MAX_LOOKED_AT: usize = 10_000;

/// Characters of an id that anybody mistypes, at most.
const MAX_CHARS: usize = 64;

impl Ledger {
    /// The id of the agent or pool that is closest to one that names none, if it is close: other letters in capitals, or
    /// a few characters that are missing, too many, different or swapped.
    #[cold]
    #[must_use]
    pub fn nearest(&self, id: &str, kind: Kind) -> Option<Arc<str>> {
        let asked: Vec<char> = id.chars().take(MAX_CHARS + 1).collect();
        if asked.len() > MAX_CHARS {
            return None;
        }
        let accounts: Vec<Arc<Account>> = match kind {
            Kind::Agent => self.directory.slots().agents().take(MAX_LOOKED_AT).cloned().collect(),
            Kind::Pool => self.directory.pools().into_iter().take(MAX_LOOKED_AT).collect(),
        };
        let mut best = (most_mistakes(asked.len()) + 1, None);
        for account in &accounts {
            let distance = distance(&asked, &account.id, best.0 - 1);
            if let Some(distance) = distance.filter(|distance| *distance < best.0) {
                best = (distance, Some(&account.id));
                if distance == 0 {
                    break;
                }
            }
        }
        best.1.cloned()
    }
}

/// Mistakes in a word of so many characters that still let it be recognised.
const fn most_mistakes(chars: usize) -> usize {
    match chars {
        0..=2 => 0,
        3..=5 => 1,
        6..=11 => 2,
        _ => 3,
    }
}

/// How many characters have to be added, taken out, replaced or swapped with their neighbour, capitals or not; `None` if
/// that is more than `most`.
fn distance(asked: &[char], id: &str, most: usize) -> Option<usize> {
    let bytes = id.len();
    if bytes > 4 * (asked.len() + most) || 4 * bytes + most < asked.len() {
        return None;
    }
    let known: Vec<char> = id.chars().take(asked.len() + most + 1).collect();
    if known.len().abs_diff(asked.len()) > most {
        return None;
    }
    let same = |one: char, other: char| one == other || one.to_lowercase().eq(other.to_lowercase());
    let width = known.len() + 1;
    let (mut before, mut above): (Vec<usize>, Vec<usize>) = (vec![0; width], (0..width).collect());
    for (row, one) in asked.iter().enumerate() {
        let mut own = vec![row + 1; width];
        for (column, other) in known.iter().enumerate() {
            let replaced = above[column] + usize::from(!same(*one, *other));
            let mut least = replaced.min(above[column + 1] + 1).min(own[column] + 1);
            let is_swapped =
                row > 0 && column > 0 && same(*one, known[column - 1]) && same(asked[row - 1], *other);
            if is_swapped {
                least = least.min(before[column - 1] + 1);
            }
            own[column + 1] = least;
        }
        if own.iter().all(|distance| *distance > most) {
            return None;
        }
        before = std::mem::replace(&mut above, own);
    }
    above.last().copied().filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn between(one: &str, other: &str) -> Option<usize> {
        let one: Vec<char> = one.chars().collect();
        distance(&one, other, 3)
    }

    #[test]
    fn mistakes_are_counted() {
        let cases = [
            ("bot", "bot", Some(0)),
            ("bot", "BOT", Some(0)),
            ("bot", "bott", Some(1)),
            ("bot", "bt", Some(1)),
            ("bot", "but", Some(1)),
            ("bot", "obt", Some(1)),
            ("writer-1", "wirter-2", Some(2)),
            ("", "abc", Some(3)),
            ("abc", "", Some(3)),
            ("bot", "chatter", None),
            ("übung", "Übnug", Some(1)),
            ("🤖", "🤖🤖", Some(1)),
        ];
        for (one, other, expected) in cases {
            assert_eq!(between(one, other), expected, "{one:?} {other:?}");
            assert_eq!(between(other, one), expected, "{other:?} {one:?}");
        }
    }

    /// As it is defined, without a table.
    fn naive(one: &[char], other: &[char]) -> usize {
        let (Some((a, one_rest)), Some((b, other_rest))) = (one.split_last(), other.split_last()) else {
            return one.len().max(other.len());
        };
        let mut least = naive(one_rest, other_rest) + usize::from(a != b);
        least = least.min(naive(one_rest, other) + 1).min(naive(one, other_rest) + 1);
        if let (Some((c, one_rest)), Some((d, other_rest))) = (one_rest.split_last(), other_rest.split_last())
            && (a, b) == (d, c)
        {
            least = least.min(naive(one_rest, other_rest) + 1);
        }
        least
    }

    proptest! {
        #[test]
        fn a_distance_is_the_least_number_of_mistakes(one in "[ab]{0,6}", other in "[abc]{0,6}", most in 0..5_usize) {
            let (chars, others): (Vec<_>, Vec<_>) = (one.chars().collect(), other.chars().collect());
            let expected = Some(naive(&chars, &others)).filter(|distance| *distance <= most);
            prop_assert_eq!(distance(&chars, &other, most), expected);
        }
    }
}
