//! Errors over layers and steps: a row for each layer and one for the scores, a column for each step.

use crate::decode::{Decode, DecodeLane, DecodeStep, RelativeError};
use crate::report::drawing::Heat;

/// A map of one target.
pub(super) struct Map {
    /// The names of the rows, layers first.
    pub(super) rows: Vec<String>,
    /// The cells of each row, one for each step.
    pub(super) cells: Vec<Vec<MapCell>>,
}

/// The error of one row in one step.
#[derive(Clone, Copy)]
pub(super) struct MapCell {
    /// The relative L2 error; `None` if the step gave nothing.
    pub(super) error: Option<f64>,
    pub(super) heat: Heat,
}

impl Map {
    /// The errors that each step introduced.
    pub(super) fn introduced(decode: &Decode, lane: &DecodeLane) -> Self {
        Map::of(decode, lane, |step| &step.introduced)
    }

    /// The errors against the reference's own run.
    pub(super) fn accumulated(decode: &Decode, lane: &DecodeLane) -> Self {
        Map::of(decode, lane, |step| &step.accumulated)
    }

    fn of(
        decode: &Decode,
        lane: &DecodeLane,
        errors: fn(&DecodeStep) -> &Vec<RelativeError>,
    ) -> Self {
        let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
        for (at, row) in decode.rows.iter().enumerate() {
            let name = match row.layer {
                Some(layer) => format!("layer {layer}"),
                None => row.role.clone(),
            };
            match groups.iter_mut().find(|(known, _)| *known == name) {
                Some((_, members)) => members.push(at),
                None => groups.push((name, vec![at])),
            }
        }
        let cell = |step: &DecodeStep, members: &[usize]| {
            let found = members.iter().filter_map(|&at| errors(step).get(at));
            let worst = found.map(|error| error.0).max_by(f64::total_cmp);
            let heat = match worst {
                Some(error) if !error.is_finite() => Heat::NONFINITE,
                Some(error) => Heat::of(error / lane.limit),
                None => Heat::default(),
            };
            MapCell { error: worst, heat }
        };
        let cells = groups
            .iter()
            .map(|(_, members)| lane.steps.iter().map(|step| cell(step, members)).collect())
            .collect();
        Map { rows: groups.into_iter().map(|(name, _)| name).collect(), cells }
    }
}
