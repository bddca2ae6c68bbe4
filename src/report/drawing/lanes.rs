//! Which lane each row and each value has. A value keeps its lane from the row that writes it to the last row that
//! reads it, so lines cross only on the way into a row.

use super::fold::DrawingRow;

/// A value on its way between two rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::report) struct Edge {
    /// The row that writes the value.
    pub(in crate::report) from: usize,
    /// The row that reads it.
    pub(in crate::report) to: usize,
}

/// The lanes of a drawing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::report) struct DrawingLanes {
    /// The lane of each row.
    pub(in crate::report) of: Vec<usize>,
    /// The values.
    pub(in crate::report) edges: Vec<Edge>,
    /// How many lanes there are.
    pub(in crate::report) count: usize,
}

/// Gives each row the lane of an input that it reads last, or else the first free lane.
pub(in crate::report) fn lanes(rows: &[DrawingRow]) -> DrawingLanes {
    let mut last = vec![0; rows.len()];
    for (number, row) in rows.iter().enumerate() {
        row.reads.iter().for_each(|read| last[*read] = number);
    }
    let mut lanes = DrawingLanes::default();
    // The row whose value is in each lane.
    let mut held: Vec<Option<usize>> = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        for lane in held.iter_mut() {
            let over = lane.is_some_and(|writer| last[writer] <= number);
            if over {
                *lane = None;
            }
        }
        let inherited =
            row.reads.iter().map(|read| lanes.of[*read]).find(|lane| held[*lane].is_none());
        let free = || held.iter().position(Option::is_none);
        let lane = inherited.or_else(free).unwrap_or(held.len());
        if lane == held.len() {
            held.push(None);
        }
        held[lane] = Some(number).filter(|_| last[number] > number);
        lanes.of.push(lane);
        lanes.edges.extend(row.reads.iter().map(|read| Edge { from: *read, to: number }));
    }
    lanes.count = held.len();
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(reads: &[&[usize]]) -> Vec<DrawingRow> {
        let row =
            |(at, reads): (usize, &&[usize])| DrawingRow { ops: at..at + 1, reads: reads.to_vec() };
        reads.iter().enumerate().map(row).collect()
    }

    #[test]
    fn a_skip_connection_keeps_its_lane() {
        // 0 feeds 1 and, past 1 and 2, also 3.
        let lanes = lanes(&rows(&[&[], &[0], &[1], &[0, 2], &[3]]));
        assert_eq!((lanes.of, lanes.count), (vec![0, 1, 1, 0, 0], 2));
    }

    #[test]
    fn no_two_values_share_a_lane_at_a_time() {
        // Two branches of two rows each, joined at the end.
        let rows = rows(&[&[], &[0], &[0], &[1], &[2], &[3, 4]]);
        let lanes = lanes(&rows);
        for (edge, lane) in lanes.edges.iter().map(|edge| (edge, lanes.of[edge.from])) {
            let between = edge.from + 1..edge.to;
            assert!(between.into_iter().all(|row| lanes.of[row] != lane), "{edge:?} is crossed");
        }
    }
}
