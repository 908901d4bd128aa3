//! Reads `CPython`'s `decimal.Decimal` in place.
//!
//! Printing a `Decimal` to parse it again costs more than a whole debit; its three numbers stand in the object.
//! This module is the only unsafe code of the project that reads memory. It holds only for `CPython`'s C
//! implementation on 64-bit machines, whose layout has not changed since Python 3.3:
//!
//! ```c
//! typedef struct { uint8_t flags; mpd_ssize_t exp, digits, len, alloc; mpd_uint_t *data; } mpd_t;
//! typedef struct { PyObject_HEAD; Py_hash_t hash; mpd_t dec; mpd_uint_t data[4]; } PyDecObject;
//! ```
//!
//! Nothing of this is taken on trust: [`Layout::probe`] checks the size of the type, then the header of a known
//! value, then follows its pointer, and last compares many values with what their text says. Whoever fails is
//! read by its text for the rest of the process.

use pyo3::prelude::*;
use pyo3::types::PyType;
use safeguards_core::amount::{Amount, AmountError, Rounding};

/// `mpd_t` of libmpdec, in its 64-bit configuration.
#[repr(C)]
struct Mpd {
    flags: u8,
    exponent: isize,
    digits: isize,
    len: isize,
    alloc: isize,
    data: *const u64,
}

const NEGATIVE: u8 = 1;
const INFINITE: u8 = 2;
const NAN: u8 = 4 | 8;
/// A word of the coefficient holds nineteen digits.
const WORD: u128 = 10_u128.pow(19);
/// Bytes from the number to the end of the object: itself and its four inline words.
const TAIL: usize = size_of::<Mpd>() + 4 * size_of::<u64>();
/// Bytes of the object's head and its hash, without and with a thread's id in the head.
const HEADS: [usize; 2] = [24, 40];

/// Where the number stands in a `Decimal`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    offset: usize,
}

impl Layout {
    /// Finds the layout of this interpreter's `Decimal`, or `None` if it is not the one above.
    pub(crate) fn probe(class: &Bound<'_, PyType>) -> PyResult<Option<Self>> {
        let is_native = class.getattr("__module__")?.eq("decimal")?
            && class.py().import("_decimal").is_ok_and(|c| c.getattr("Decimal").is_ok_and(|c| c.is(class)));
        let size: usize = class.getattr("__basicsize__")?.extract()?;
        let offset = size.saturating_sub(TAIL);
        if !is_native || !HEADS.contains(&offset) || cfg!(not(target_pointer_width = "64")) {
            return Ok(None);
        }
        let layout = Self { offset };
        Ok((layout.header_is_right(&class.call1(("12345",))?) && layout.agrees_with_text(class)?)
            .then_some(layout))
    }

    /// Whether `12345` has the header that it must have, its words where an object of its size keeps them.
    fn header_is_right(self, number: &Bound<'_, PyAny>) -> bool {
        let mpd = self.mpd(number);
        let inline = number.as_ptr().cast::<u8>().wrapping_add(self.offset + size_of::<Mpd>());
        // The upper bits of the flags say how the memory is owned.
        (mpd.flags & 0x0F, mpd.exponent, mpd.digits, mpd.len, mpd.alloc) == (0, 0, 5, 1, 4)
            && mpd.data.cast::<u8>() == inline
    }

    fn agrees_with_text(self, class: &Bound<'_, PyType>) -> PyResult<bool> {
        for text in SAMPLES {
            let number = class.call1((text,))?;
            for rounding in [Rounding::Up, Rounding::Down] {
                let by_text = Amount::parse(text, rounding);
                if self.read(&number, rounding).is_some_and(|by_layout| by_layout != by_text) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The amount of a `Decimal` (exactly that class), or `None` if it has too many digits to be read here.
    #[inline]
    pub(crate) fn read(
        self,
        number: &Bound<'_, PyAny>,
        rounding: Rounding,
    ) -> Option<Result<Amount, AmountError>> {
        let mpd = self.mpd(number);
        if mpd.flags & (NAN | INFINITE) != 0 {
            return Some(Err(if mpd.flags & NAN != 0 {
                AmountError::NotANumber
            } else {
                AmountError::Infinite
            }));
        }
        if !(1..=2).contains(&mpd.len) {
            return None;
        }
        // SAFETY: a finite number of `len` words has them at `data`, aligned, for as long as the object lives, and
        // nobody changes a Decimal after it was made.
        let words = unsafe { std::slice::from_raw_parts(mpd.data, mpd.len.unsigned_abs()) };
        let coefficient = match *words {
            [low] => u128::from(low),
            [low, high] => u128::from(low) + WORD * u128::from(high),
            _ => return None,
        };
        let amount = Amount::from_parts(coefficient, mpd.exponent as i64, rounding);
        let is_negative = mpd.flags & NEGATIVE != 0 && coefficient != 0;
        Some(if is_negative { Err(AmountError::Negative) } else { amount })
    }

    #[inline]
    #[expect(clippy::cast_ptr_alignment, reason = "aligned, as the safety comment says")]
    fn mpd<'a>(self, number: &'a Bound<'_, PyAny>) -> &'a Mpd {
        // SAFETY: the caller passes an instance of exactly `Decimal`, whose size says that an `Mpd` fits at
        // `offset`; both heads are multiples of eight, which is how it is aligned. Objects do not move.
        unsafe { &*number.as_ptr().cast::<u8>().add(self.offset).cast::<Mpd>() }
    }
}

/// Values at every edge that the reading above has: signs, words, exponents, specials.
const SAMPLES: [&str; 26] = [
    "0",
    "-0",
    "0E+999999",
    "-0E-999999",
    "1",
    "-1",
    "0.10",
    "1E-9",
    "1E-10",
    "1E-30",
    "-1E-30",
    "1E+15",
    "1E+16",
    "1E+999999",
    "-1E+999999",
    "999999999999999.999999999",
    "1000000000000000.0000000001",
    "9999999999999999999",
    "0.9999999999999999999",
    "10000000000000000000E-9",
    "99999999999999999999999999999999999999E-30",
    "0.000000000000000000000000000000000000000001",
    "123456789012345678901234567890123456789012345678901234567890",
    "NaN",
    "-sNaN123",
    "-Infinity",
];
