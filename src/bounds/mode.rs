//! How a device computes and stores, as far as the device declares it. Undeclared properties are tried.

use crate::tensor::{Format, Rounding};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The known properties of a device's arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arithmetic {
    /// The format of stored values.
    pub format: Format,
    /// How the device rounds on storing; `None` if undeclared.
    pub rounding: Option<Rounding>,
    /// The format of sums; `None` if undeclared.
    pub accumulate: Option<Format>,
    /// Whether the device flushes values below the smallest normal value to zero; `None` if undeclared.
    pub flushes: Option<bool>,
}

/// One possible way for a device to compute and store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceMode {
    /// The format of stored values.
    pub format: Format,
    /// How the device rounds on storing.
    pub rounding: Rounding,
    /// The format of sums.
    pub accumulate: Format,
    /// Whether the device flushes values below the smallest normal value to zero.
    pub flushes: bool,
}

impl Arithmetic {
    /// A device that declares only its storage format.
    pub fn storing(format: Format) -> Self {
        Arithmetic { format, ..Arithmetic::default() }
    }

    /// Whether every property is declared.
    pub fn is_declared(&self) -> bool {
        self.rounding.is_some() && self.accumulate.is_some()
    }

    /// Every mode that fits the declared properties, the most exact mode first.
    ///
    /// Sums in 16 bits and cut digits are tried only for a device that stores 16 bits. Each mode is a hypothesis:
    /// the report names the mode that fits the whole tensor best.
    pub fn modes(&self) -> Vec<DeviceMode> {
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
        // The error of flushing cannot hide a fault of normal size, so flushing is allowed rather than tried.
        let flushes = self.flushes.unwrap_or(true);
        let mut modes = Vec::new();
        for &accumulate in &accumulates {
            for &rounding in &roundings {
                modes.push(DeviceMode { format: self.format, rounding, accumulate, flushes });
            }
        }
        modes
    }
}

impl DeviceMode {
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
