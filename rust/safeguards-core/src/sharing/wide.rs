//! Products of two 128-bit numbers: amounts times amounts.

use std::cmp::Ordering;

/// Compares `a.0 * a.1` with `b.0 * b.1`.
#[inline]
pub(super) fn cmp_products(a: (u128, u128), b: (u128, u128)) -> Ordering {
    match (a.0.checked_mul(a.1), b.0.checked_mul(b.1)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (None, None) => product(a.0, a.1).cmp(&product(b.0, b.1)),
    }
}

/// Quotient and remainder of `a * b / divisor`, for `a <= divisor < 2^127`: the quotient is at most `b`.
#[inline]
pub(super) fn mul_div(a: u128, b: u128, divisor: u128) -> (u128, u128) {
    match a.checked_mul(b) {
        Some(product) => {
            let quotient = product / divisor;
            (quotient, product - quotient * divisor)
        }
        None => divide(product(a, b), divisor),
    }
}

/// High and low half of a product.
fn product(a: u128, b: u128) -> (u128, u128) {
    let (low, high) = a.carrying_mul(b, 0);
    (high, low)
}

/// Long division, bit by bit. The high half is below the divisor or equal to it, as `a <= divisor` makes it.
#[cold]
fn divide((high, low): (u128, u128), divisor: u128) -> (u128, u128) {
    let (mut quotient, mut rest) = (0, high);
    for bit in (0..128).rev() {
        rest = rest << 1 | low >> bit & 1;
        quotient <<= 1;
        if rest >= divisor {
            rest -= divisor;
            quotient |= 1;
        }
    }
    (quotient, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A bit at a time, with nothing but additions.
    fn slow_mul_div(a: u128, b: u128, divisor: u128) -> (u128, u128) {
        let (mut quotient, mut rest) = (0, 0);
        for bit in (0..128).rev() {
            (quotient, rest) = (quotient * 2 + rest * 2 / divisor, rest * 2 % divisor);
            if b >> bit & 1 == 1 {
                (quotient, rest) = (quotient + (rest + a) / divisor, (rest + a) % divisor);
            }
        }
        (quotient, rest)
    }

    proptest! {
        #[test]
        fn division_of_wide_products(
            divisor in 1..1_u128 << 126, part in 0.0..=1.0_f64, b in any::<u128>(), shift in 0..128_u32,
        ) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2^20")]
            let a = divisor / (1 << 20) * ((part * f64::from(1 << 20)) as u128);
            let b = b >> shift;
            prop_assert_eq!(mul_div(a, b, divisor), slow_mul_div(a, b, divisor));
            prop_assert_eq!(mul_div(divisor, b, divisor), (b, 0));
        }

        #[test]
        fn comparison_of_wide_products(a in any::<u128>(), b in any::<u128>(), c in any::<u64>()) {
            let (low, high) = (u128::from(c), u128::from(c) + 1);
            prop_assert_eq!(cmp_products((a, b), (b, a)), Ordering::Equal);
            prop_assert_eq!(cmp_products((a.max(1), low), (a.max(1), high)), Ordering::Less);
        }
    }
}
