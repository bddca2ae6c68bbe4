//! How wrong an operator is, as a step on a scale of decades.

use crate::walk::OpReport;

/// A step on the scale: 0 is within the bound, each further step is a factor of ten, and the last one is NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(in crate::report) struct Heat(u8);

impl Heat {
    /// NaN or infinities.
    const NONFINITE: Heat = Heat(7);

    /// The step of an error that is so many times its bound.
    fn of(times: f64) -> Self {
        match times {
            times if times.is_nan() => Heat::NONFINITE,
            times if times <= 1.0 => Heat(0),
            // At most 6 decades: a larger error looks like 10^6.
            times => Heat(times.log10().ceil().clamp(1.0, 6.0) as u8),
        }
    }

    /// The number of the step, from 0 to 7.
    pub(in crate::report) fn step(self) -> u8 {
        self.0
    }
}

/// The error that an operator introduces, over the bound of its elements, or else over the floor.
pub(in crate::report) fn introduced(op: &OpReport) -> Heat {
    if op.disagreeing_here() > 0 {
        return Heat::NONFINITE;
    }
    let bounded = op.excess.as_ref().map(|excess| excess.excess);
    Heat::of(bounded.or(op.ratio).unwrap_or(0.0))
}

/// The error of an operator's value in the whole run, over twice the floor: up to that an operator counts as clean.
pub(in crate::report) fn accumulated(op: &OpReport) -> Heat {
    if op.disagreeing > 0 {
        return Heat::NONFINITE;
    }
    Heat::of(op.cumulative.map_or(0.0, |cumulative| cumulative / (2.0 * op.floor)))
}

#[cfg(test)]
mod tests {
    use super::Heat;

    #[test]
    fn a_step_is_a_decade() {
        let steps = [0.0, 1.0, 1.1, 10.0, 11.0, 1e5, 1e9, f64::NAN].map(|times| Heat::of(times).0);
        assert_eq!(steps, [0, 0, 1, 1, 2, 5, 6, 7]);
        // An exact operator with a floor of 0 has 0 / 0.
        assert_eq!(Heat::of(f64::INFINITY).0, 6);
    }
}
