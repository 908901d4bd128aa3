//! Exact amounts: fixed point, nine decimal places, held as a 128-bit integer.
//!
//! | operation | yields |
//! |---|---|
//! | [`Amount::parse`], [`Amount::from_parts`] | [`Amount`], rounded as told, or [`AmountError`] |
//! | [`Amount::from_units`] | [`Amount`], or `None` outside `0..=MAX` |
//! | `Amount` as a signed quantity | [`Amount::units`], an `i128` of 1e-9 |
//!
//! Balances are plain `i128` units, because what remains can be negative. Sums cannot leave the range of `i128`
//! in practice: it takes 10^14 operations of the largest amount; overflow checks, on in every build, watch it.

use std::fmt;

/// Decimal places of every amount.
pub const DECIMAL_PLACES: u32 = 9;
/// Units in one whole.
pub const UNITS_PER_ONE: i128 = 10_i128.pow(DECIMAL_PLACES);
/// The largest amount, in units: 10^15 wholes.
pub const MAX_UNITS: i128 = 10_i128.pow(15) * UNITS_PER_ONE;

/// Powers of ten from 0 to 9.
const POWERS: [u32; 10] =
    [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

/// Digits of [`MAX_UNITS`]; a number of more digits is too large without looking at them.
const MAX_DIGITS: i64 = 25;

/// A quantity of one resource: `0..=MAX_UNITS` units of 1e-9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i128);

/// What to do with the tenth decimal place. Always against the spender: charges go up, grants go down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Towards more: what is charged or set aside.
    Up,
    /// Towards less: what is granted.
    Down,
}

/// Why something is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not decimal digits, as `12`, `12.50` or `3.4E-7`.
    #[error("must be decimal digits, as '12' or '12.50'")]
    Malformed,
    /// NaN, signalling or not.
    #[error("must be a number, not NaN")]
    NotANumber,
    /// Infinity, of either sign.
    #[error("must be finite")]
    Infinite,
    /// Below zero.
    #[error("must not be negative")]
    Negative,
    /// More than [`MAX_UNITS`].
    #[error("must not be more than 1000000000000000 (10^15)")]
    TooLarge,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(MAX_UNITS);

    /// An amount of `units` of 1e-9, if it is within `0..=MAX_UNITS`.
    #[must_use]
    pub const fn from_units(units: i128) -> Option<Self> {
        if units >= 0 && units <= MAX_UNITS { Some(Self(units)) } else { None }
    }

    /// The amount in units of 1e-9.
    #[must_use]
    pub const fn units(self) -> i128 {
        self.0
    }

    /// True for nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// What `self` exceeds `other` by, or nothing.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self((self.0 - other.0).max(0))
    }

    /// `coefficient * 10^exponent`, the parts of a decimal floating-point number.
    #[inline]
    pub fn from_parts(coefficient: u128, exponent: i64, rounding: Rounding) -> Result<Self, AmountError> {
        // Nearly all amounts: up to nine places and nineteen digits, and so one product of two words.
        let power = usize::try_from(exponent.wrapping_add(9)).ok().and_then(|places| POWERS.get(places));
        if let (Ok(word), Some(power)) = (u64::try_from(coefficient), power) {
            let units = u128::from(word) * u128::from(*power);
            return Self::from_units(units.cast_signed()).ok_or(AmountError::TooLarge);
        }
        Self::from_any_parts(coefficient, exponent, rounding)
    }

    fn from_any_parts(coefficient: u128, exponent: i64, rounding: Rounding) -> Result<Self, AmountError> {
        if coefficient == 0 {
            return Ok(Self::ZERO);
        }
        let shift = exponent.saturating_add(i64::from(DECIMAL_PLACES));
        if shift < 0 {
            return Self::divided(coefficient, shift.unsigned_abs(), rounding);
        }
        // A coefficient of one, moved by 25 places or more, is past the maximum.
        let factor = u32::try_from(shift).ok().and_then(|s| 10_u128.checked_pow(s));
        let units = factor.and_then(|f| coefficient.checked_mul(f)).and_then(|u| i128::try_from(u).ok());
        units.and_then(Self::from_units).ok_or(AmountError::TooLarge)
    }

    fn divided(coefficient: u128, places: u64, rounding: Rounding) -> Result<Self, AmountError> {
        let divisor = u32::try_from(places).ok().and_then(|p| 10_u128.checked_pow(p));
        let (whole, rest) = divisor.map_or((0, coefficient), |d| (coefficient / d, coefficient % d));
        let up = u128::from(rounding == Rounding::Up && rest != 0);
        i128::try_from(whole + up).ok().and_then(Self::from_units).ok_or(AmountError::TooLarge)
    }

    /// Reads a decimal number: digits, at most one point, optionally a sign and an exponent, as
    /// `str(Decimal)` prints it. Any number of digits is read in one pass, and a huge exponent costs nothing.
    pub fn parse(text: &str, rounding: Rounding) -> Result<Self, AmountError> {
        let (negative, text) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], parse_exponent(&text[at + 1..]).ok_or(AmountError::Malformed)?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = whole.bytes().chain(fraction.bytes());
        if !digits.clone().all(|b| b.is_ascii_digit()) || (whole.is_empty() && fraction.is_empty()) {
            return Err(special(mantissa));
        }
        let exponent = exponent.saturating_sub(i64::try_from(fraction.len()).unwrap_or(i64::MAX));
        if negative && digits.clone().any(|digit| digit != b'0') {
            return Err(AmountError::Negative);
        }
        from_digits(digits, whole.len() + fraction.len(), exponent, rounding)
    }

    /// Reads an amount as people and programs write it: plain digits or, as `str(Decimal)` prints small amounts,
    /// with an exponent: `[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?`, nothing else.
    pub fn parse_written(text: &str, rounding: Rounding) -> Result<Self, AmountError> {
        Self::parse_if(is_written, text, rounding)
    }

    /// Reads an amount as it travels between programs: `[0-9]+(\.[0-9]+)?`, nothing else.
    pub fn parse_plain(text: &str, rounding: Rounding) -> Result<Self, AmountError> {
        Self::parse_if(is_plain, text, rounding)
    }

    fn parse_if(is_right: fn(&str) -> bool, text: &str, rounding: Rounding) -> Result<Self, AmountError> {
        if is_right(text) {
            return Self::parse(text, rounding);
        }
        Err(match text.strip_prefix('-') {
            Some(rest) if is_right(rest) => AmountError::Negative,
            _ => special(text),
        })
    }
}

/// Plain digits, with an exponent or not.
fn is_written(text: &str) -> bool {
    match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => is_plain(mantissa) && parse_exponent(exponent).is_some(),
        None => is_plain(text),
    }
}

/// `[0-9]+(\.[0-9]+)?`
fn is_plain(text: &str) -> bool {
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    is_digits(whole) && is_digits(fraction)
}

/// Digits of a coefficient, most significant first, times `10^exponent`.
fn from_digits(
    digits: impl Iterator<Item = u8>,
    count: usize,
    exponent: i64,
    rounding: Rounding,
) -> Result<Amount, AmountError> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    // Digits left of the ninth decimal place: they make the amount. The rest only says whether to round.
    let mut kept = count.saturating_add(exponent).saturating_add(i64::from(DECIMAL_PLACES));
    let (mut units, mut rest) = (0_u128, false);
    for digit in digits.map(|b| u128::from(b - b'0')) {
        if kept > 0 {
            units = units.checked_mul(10).and_then(|u| u.checked_add(digit)).ok_or(AmountError::TooLarge)?;
        } else {
            rest |= digit != 0;
        }
        kept -= 1;
    }
    if units == 0 {
        return Ok(Amount(i128::from(rest && rounding == Rounding::Up)));
    }
    if kept > MAX_DIGITS {
        return Err(AmountError::TooLarge);
    }
    let up = u128::from(rest && rounding == Rounding::Up);
    // At the end of the range it is far too large, whether it rounds or not.
    Amount::from_parts(units.saturating_add(up), kept.max(0) - i64::from(DECIMAL_PLACES), rounding)
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // An exponent of more than eighteen digits is as good as infinite.
    let magnitude = digits.parse::<i64>().unwrap_or(i64::MAX / 4);
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

fn special(text: &str) -> AmountError {
    let text = text.trim_start_matches(['+', '-']);
    let starts = |name: &str| text.get(..name.len()).is_some_and(|t| t.eq_ignore_ascii_case(name));
    if starts("nan") || starts("snan") {
        AmountError::NotANumber
    } else if starts("inf") {
        AmountError::Infinite
    } else {
        AmountError::Malformed
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Units(self.0).fmt(f)
    }
}

/// Signed units of 1e-9, printed as a plain decimal number without trailing zeros: `-0.1`, `12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units(pub i128);

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let one = UNITS_PER_ONE.unsigned_abs();
        let (whole, fraction) = (magnitude / one, magnitude % one);
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let fraction = format!("{fraction:09}");
        write!(f, "{sign}{whole}.{}", fraction.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn up(text: &str) -> Result<i128, AmountError> {
        Amount::parse(text, Rounding::Up).map(Amount::units)
    }

    fn down(text: &str) -> Result<i128, AmountError> {
        Amount::parse(text, Rounding::Down).map(Amount::units)
    }

    #[test]
    fn edge_values() {
        assert_eq!(up("0.10"), Ok(100_000_000));
        assert_eq!(up("-0"), Ok(0));
        assert_eq!(up("-0E+400"), Ok(0));
        assert_eq!(up("1E-30"), Ok(1));
        assert_eq!(down("1E-30"), Ok(0));
        assert_eq!(up("1E-999999999999999999999"), Ok(1));
        assert_eq!(up("1E+999999"), Err(AmountError::TooLarge));
        assert_eq!(up("0E+999999"), Ok(0));
        assert_eq!(up("1E+15"), Ok(MAX_UNITS));
        assert_eq!(up("1000000000000000.0000000001"), Err(AmountError::TooLarge));
        assert_eq!(down("1000000000000000.0000000001"), Ok(MAX_UNITS));
        assert_eq!(up("-1"), Err(AmountError::Negative));
        assert_eq!(down("-1E-30"), Err(AmountError::Negative));
        assert_eq!(up("-1E+999999"), Err(AmountError::Negative));
        assert_eq!(up("NaN"), Err(AmountError::NotANumber));
        assert_eq!(up("sNaN12"), Err(AmountError::NotANumber));
        assert_eq!(up("-Infinity"), Err(AmountError::Infinite));
        for malformed in ["", ".", "1.2.3", "1e", "e5", "٣", "1_000", " 1", "--1", "0x10"] {
            assert_eq!(up(malformed), Err(AmountError::Malformed), "{malformed:?}");
        }
    }

    #[test]
    fn a_hundred_thousand_digits_are_read_in_one_pass() {
        assert_eq!(up(&"9".repeat(100_000)), Err(AmountError::TooLarge));
        assert_eq!(up(&format!("0.{}1", "0".repeat(100_000))), Ok(1));
        assert_eq!(up(&format!("{}7", "0".repeat(100_000))), Ok(7 * UNITS_PER_ONE));
    }

    #[test]
    fn digits_that_fill_the_widest_integer_do_not_overflow_when_rounded() {
        assert_eq!(u128::MAX, 340_282_366_920_938_463_463_374_607_431_768_211_455);
        assert_eq!(up("340282366920938463463374607431.7682114551"), Err(AmountError::TooLarge));
    }

    #[test]
    fn a_million_signs_are_no_reason_to_leave_the_stack() {
        let text = "-".repeat(1_000_000);
        assert_eq!(Amount::parse_plain(&text, Rounding::Up), Err(AmountError::Malformed));
        assert_eq!(Amount::parse_plain("--1", Rounding::Up), Err(AmountError::Malformed));
    }

    #[test]
    fn plain_text_admits_no_sign_exponent_or_bare_point() {
        assert_eq!(Amount::parse_plain("12.50", Rounding::Up), Ok(Amount(12_500_000_000)));
        for text in ["+1", "1E3", ".5", "5.", "", " 1", "1 ", "١"] {
            assert_eq!(Amount::parse_plain(text, Rounding::Up), Err(AmountError::Malformed), "{text:?}");
        }
        assert_eq!(Amount::parse_plain("-1", Rounding::Up), Err(AmountError::Negative));
        let dashes = "-".repeat(3_000_000);
        assert_eq!(Amount::parse_plain(&dashes, Rounding::Up), Err(AmountError::Malformed));
        assert_eq!(Amount::parse_plain("nan", Rounding::Up), Err(AmountError::NotANumber));
    }

    #[test]
    fn written_text_is_plain_or_has_an_exponent() {
        for (text, units) in [
            ("12.50", 12_500_000_000),
            ("3.4E-7", 340),
            ("4.41e-05", 44_100),
            ("1e+3", 10_i128.pow(12)),
            ("0e9", 0),
        ] {
            assert_eq!(Amount::parse_written(text, Rounding::Down).map(Amount::units), Ok(units), "{text:?}");
        }
        for text in ["+1", ".5", "5.", "", " 1", "1 ", "1e", "e5", "1e1.5", "1e1e1", "1_0", "1E٣", "0x1"] {
            assert_eq!(Amount::parse_written(text, Rounding::Up), Err(AmountError::Malformed), "{text:?}");
        }
        assert_eq!(Amount::parse_written("-1e-9", Rounding::Up), Err(AmountError::Negative));
        assert_eq!(Amount::parse_written("1e16", Rounding::Up), Err(AmountError::TooLarge));
        assert_eq!(Amount::parse_written("1e-99999999999999999999", Rounding::Up), Ok(Amount(1)));
        assert_eq!(Amount::parse_written("inf", Rounding::Up), Err(AmountError::Infinite));
    }

    #[test]
    fn a_third_of_a_total_never_makes_money() {
        let third = "33.333333333333333333333333333";
        assert_eq!(down(third).unwrap() * 3, 100 * UNITS_PER_ONE - 1);
        assert_eq!(up(third).unwrap() * 3, 100 * UNITS_PER_ONE + 2);
    }

    proptest! {
        #[test]
        fn parts_agree_with_text(coefficient in 0_u64..u64::MAX, exponent in -40_i64..20) {
            for rounding in [Rounding::Up, Rounding::Down] {
                let parts = Amount::from_parts(u128::from(coefficient), exponent, rounding);
                prop_assert_eq!(parts, Amount::parse(&format!("{coefficient}E{exponent}"), rounding));
            }
        }

        #[test]
        fn printed_and_read_back(units in 0..=MAX_UNITS) {
            let amount = Amount::from_units(units).unwrap();
            prop_assert_eq!(Amount::parse_plain(&amount.to_string(), Rounding::Up), Ok(amount));
            prop_assert_eq!(Amount::parse_written(&amount.to_string(), Rounding::Up), Ok(amount));
        }

        #[test]
        fn no_text_panics(text in "[-+0-9.eEnNaAiIfFsS]{0,40}") {
            let _ = Amount::parse(&text, Rounding::Up);
            let _ = Amount::parse_plain(&text, Rounding::Down);
        }
    }
}
