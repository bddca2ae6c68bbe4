//! How a device computes and stores, as far as it is declared; what is not declared is tried.

use crate::tensor::{Format, Rounding};
use serde::{Deserialize, Serialize};

/// What is known of a device's arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arithmetic {
    /// The format in which it stores values.
    pub format: Format,
    /// How it rounds on storing; `None` if nothing declares it.
    pub rounding: Option<Rounding>,
    /// The format in which it adds up; `None` if nothing declares it.
    pub accumulate: Option<Format>,
    /// Whether it makes zero of values below the smallest normal one; `None` if nothing declares it.
    pub flushes: Option<bool>,
}

/// One way in which a device may compute and store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mode {
    /// The format in which it stores values.
    pub format: Format,
    /// How it rounds on storing.
    pub rounding: Rounding,
    /// The format in which it adds up.
    pub accumulate: Format,
    /// Whether it makes zero of values below the smallest normal one.
    pub flushes: bool,
}

impl Arithmetic {
    /// A device that declares its storage and nothing else.
    pub fn storing(format: Format) -> Self {
        Arithmetic { format, ..Arithmetic::default() }
    }

    /// Whether nothing has to be guessed.
    pub fn is_declared(&self) -> bool {
        self.rounding.is_some() && self.accumulate.is_some()
    }

    /// Every way that fits what is declared, the most exact one first.
    ///
    /// Sums in 16 bits and cut digits are tried only for a device that stores 16 bits. Each is a hypothesis: the
    /// one under which the whole tensor fits best is named in the report.
    pub fn modes(&self) -> Vec<Mode> {
        let is_narrow = self.format != Format::F32;
        let accumulates = match self.accumulate {
            Some(format) => vec![format],
            None if self.format == Format::F16 => vec![Format::F32, Format::F16],
            None => vec![Format::F32],
        };
        let roundings = match self.rounding {
            Some(rounding) => vec![rounding],
            None if is_narrow => vec![Rounding::NearestEven, Rounding::TowardZero],
            None => vec![Rounding::NearestEven],
        };
        // Flushing costs nothing that would hide a fault of normal size, so it is granted rather than tried.
        let flushes = self.flushes.unwrap_or(true);
        let mut modes = Vec::new();
        for &accumulate in &accumulates {
            for &rounding in &roundings {
                modes.push(Mode { format: self.format, rounding, accumulate, flushes });
            }
        }
        modes
    }
}

impl Mode {
    /// Half a unit in the last place of the sums, relative.
    pub(super) fn unit(&self) -> f64 {
        self.accumulate.epsilon()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_is_not_tried() {
        let known = Arithmetic {
            format: Format::F16,
            rounding: Some(Rounding::NearestEven),
            accumulate: Some(Format::F32),
            flushes: Some(false),
        };
        assert_eq!(known.modes().len(), 1);
        assert_eq!(Arithmetic::storing(Format::F32).modes().len(), 1);
        assert_eq!(Arithmetic::storing(Format::F16).modes().len(), 4);
        assert_eq!(Arithmetic::storing(Format::Bf16).modes().len(), 2);
    }
}
