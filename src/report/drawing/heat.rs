//! How wrong an operator is, as a step on a scale of decades.

use crate::walk::OpReport;

/// A step on the scale: 0 is within the bound, each further step is a factor of ten, and the last one is NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(in crate::report) struct Heat(u8);

/// Up to so many floors an accumulated error is drawn as rounding. The honest devices of `docs/measured.md` add up to
/// less in the networks of this repository.
const ROUNDINGS: f64 = 8.0;

impl Heat {
    /// NaN or infinities.
    pub(in crate::report) const NONFINITE: Heat = Heat(7);

    /// The step of an error that is so many times its bound. An exact operator has 0 / 0.
    pub(in crate::report) fn of(times: f64) -> Self {
        match times > 1.0 {
            // At most 6 decades: a larger error looks like 10^6.
            true => Heat(times.log10().ceil().clamp(1.0, 6.0) as u8),
            false => Heat(0),
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

/// The error of each operator's value in the whole run, over what rounding has cost by then: some times the largest
/// floor so far. The floor of an operator that only moves values says nothing about the error of its inputs.
pub(in crate::report) fn accumulated(ops: &[OpReport]) -> Vec<Heat> {
    let mut floor: f64 = 0.0;
    let heat = |op: &OpReport| {
        floor = floor.max(op.floor);
        match op.disagreeing {
            0 => Heat::of(op.cumulative.map_or(0.0, |cumulative| cumulative / (ROUNDINGS * floor))),
            _ => Heat::NONFINITE,
        }
    };
    ops.iter().map(heat).collect()
}

#[cfg(test)]
mod tests {
    use super::Heat;

    #[test]
    fn a_step_is_a_decade() {
        let steps =
            [0.0, 1.0, 1.1, 10.0, 11.0, 1e5, 1e9, f64::INFINITY].map(|times| Heat::of(times).0);
        assert_eq!(steps, [0, 0, 1, 1, 2, 5, 6, 6]);
        assert_eq!(Heat::of(f64::NAN).0, 0);
    }
}
