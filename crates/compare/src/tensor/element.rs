//! Elements of any type as numbers, without loss.

use half::{bf16, f16};

/// An element promoted without loss: every float type fits an `f64`, every integer type an `i128`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Float(f64),
    Integer(i128),
}

impl Number {
    /// The value. An integer beyond 2^53 is rounded to `f64`.
    pub(crate) fn value(self) -> f64 {
        match self {
            Number::Float(value) => value,
            Number::Integer(value) => value as f64,
        }
    }
}

/// An element type of [`Tensor`].
pub(crate) trait Element: Copy {
    fn number(self) -> Number;
    /// The element as stored, in the low bits.
    fn bits(self) -> u64;
}

macro_rules! float_element {
    ($($float:ty),*) => {$(
        impl Element for $float {
            fn number(self) -> Number {
                Number::Float(self.into())
            }
            fn bits(self) -> u64 {
                self.to_bits().into()
            }
        }
    )*};
}
float_element!(f32, f16, bf16, f64);

macro_rules! integer_element {
    ($($integer:ty as $stored:ty),*) => {$(
        impl Element for $integer {
            fn number(self) -> Number {
                Number::Integer(self.into())
            }
            fn bits(self) -> u64 {
                (self as $stored).into()
            }
        }
    )*};
}
integer_element!(
    i8 as u8, i16 as u16, i32 as u32, i64 as u64, u8 as u8, u16 as u16, u32 as u32, u64 as u64,
    bool as u8
);
