//! Signs of faults of the state: what the pattern over positions and heads says about a step's new state.
//!
//! A step's state is compared with what the reference makes of the same state before. So a sign is about this step.

use super::interface::{DecoderState, StateRole};
use super::plane::{Plane, relative};
use crate::tensor::{Format, Tensor};
use std::fmt;

/// Below this relative L2 error, rows count as equal: a tenth of what storage in `bf16` costs.
const SAME: f64 = 4e-4;
/// From this relative L2 error on, rows count as different: ten times what storage in `bf16` costs.
const DIFFERENT: f64 = 4e-2;
/// A turn by whole positions may differ by so many radians: `f16` moves an angle near 1 by less.
const ANGLE: f64 = 0.02;
/// The most positions that a key is looked for at.
const MOST_POSITIONS: i64 = 8;
/// If one head has this share of the squared error, the fault is in one head.
const ONE_HEAD: f64 = 0.99;

/// A sign of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// An earlier position was changed.
    Overwritten {
        /// The position.
        position: usize,
    },
    /// A new position holds what an earlier position holds.
    Stale {
        /// The new position.
        position: usize,
        /// The earlier position.
        of: usize,
    },
    /// A new position was never written: it holds zeros.
    Unwritten {
        /// The position.
        position: usize,
    },
    /// Keys are turned by the angle of another position.
    Turned {
        /// How many positions further.
        by: i64,
    },
    /// Only one head is wrong.
    OneHead {
        /// The head, from 0.
        head: usize,
    },
    /// The state is stored in a narrower format.
    Stored {
        /// The format.
        format: Format,
    },
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sign::Overwritten { position } => {
                write!(f, "the step changed the stored position {position}, an earlier one")
            }
            Sign::Stale { position, of } => {
                write!(
                    f,
                    "position {position} holds the values of position {of}: the slot is stale"
                )
            }
            Sign::Unwritten { position } => {
                write!(f, "position {position} holds zeros: the slot was not written")
            }
            Sign::Turned { by } => write!(
                f,
                "keys are turned by the rotary angle of a position {} {}: the position is wrong",
                by.abs(),
                if *by > 0 { "too late" } else { "too early" }
            ),
            Sign::OneHead { head } => write!(f, "only head {head} is wrong"),
            Sign::Stored { format } => {
                write!(
                    f,
                    "the state holds only values that {format} can hold: it is stored in {format}"
                )
            }
        }
    }
}

/// One state in one step.
#[derive(Clone, Copy)]
pub struct Stepped<'a> {
    /// The state.
    pub state: &'a DecoderState,
    /// Its value before the step, which both engines were fed.
    pub before: &'a Tensor,
    /// The reference's value after the step.
    pub want: &'a Tensor,
    /// The target's value after the step.
    pub got: &'a Tensor,
}

/// The signs in one state after one step.
pub fn signs_of_state(stepped: Stepped<'_>) -> Vec<Sign> {
    let Stepped { state, before, want, got } = stepped;
    let [old, want, found] = [before, want, got].map(|tensor| Plane::of(state, tensor));
    if state.axis.is_none()
        || !want.is_like(&found)
        || old.width != found.width && old.positions > 0
    {
        return Vec::new();
    }
    let past = old.positions;
    let mut signs = Vec::new();
    let changed = (0..past).find(|&position| {
        (0..found.heads)
            .any(|head| relative(old.at(head, position), found.at(head, position)) > SAME)
    });
    signs.extend(changed.map(|position| Sign::Overwritten { position }));
    let wrong = (past..found.positions)
        .find(|&position| !is_same(&want, &found, position, position, DIFFERENT));
    if let Some(position) = wrong {
        let zeros = (0..found.heads).all(|head| found.at(head, position).iter().all(|v| *v == 0.0));
        let stale = (0..position).rev().find(|&of| is_same(&found, &found, of, position, SAME));
        let turned = || (state.role == StateRole::Key).then(|| turn(&want, &found, position))?;
        signs.extend(match (zeros, stale) {
            (true, _) => Some(Sign::Unwritten { position }),
            (_, Some(of)) => Some(Sign::Stale { position, of }),
            _ => turned().map(|by| Sign::Turned { by }),
        });
    }
    if signs.is_empty() {
        signs.extend(one_head(&want, &found, past).map(|head| Sign::OneHead { head }));
    }
    signs.extend(stored_in(&want, &found, past).map(|format| Sign::Stored { format }));
    signs
}

/// Whether a position of one plane is like a position of another, in all heads.
fn is_same(a: &Plane, b: &Plane, at: usize, other: usize, limit: f64) -> bool {
    (0..a.heads).all(|head| relative(a.at(head, at), b.at(head, other)) <= limit)
}

/// The places of a pair's two elements, from the pair's number and the number of pairs.
type Layout = fn(usize, usize) -> (usize, usize);

/// By how many positions keys are turned too far: all pairs keep their length, and the pair that turns by one radian
/// per position turns by a whole number of radians.
fn turn(want: &Plane, found: &Plane, position: usize) -> Option<i64> {
    let half = want.width / 2;
    let layouts: [Layout; 2] =
        [|pair, half| (pair, pair + half), |pair, _| (2 * pair, 2 * pair + 1)];
    layouts.into_iter().find_map(|layout| {
        let turns = (0..want.heads).map(|head| {
            let (want, found) = (want.at(head, position), found.at(head, position));
            let pair = |values: &[f64], pair| {
                let (a, b) = layout(pair, half);
                (values[a], values[b])
            };
            let keeps = (0..half).all(|at| {
                let length = |(a, b): (f64, f64)| a.hypot(b);
                let (before, after) = (length(pair(want, at)), length(pair(found, at)));
                (before - after).abs() <= DIFFERENT * before.max(after)
            });
            let angle = |(a, b): (f64, f64)| b.atan2(a);
            let turned = angle(pair(found, 0)) - angle(pair(want, 0));
            keeps.then(|| whole_turn(turned)).flatten()
        });
        let turns: Option<Vec<i64>> = turns.collect();
        let turns = turns.filter(|_| half > 0)?;
        turns.first().copied().filter(|first| *first != 0 && turns.iter().all(|by| by == first))
    })
}

/// The whole number of radians, but for full circles.
fn whole_turn(turned: f64) -> Option<i64> {
    let circle = std::f64::consts::TAU;
    (1..=MOST_POSITIONS).flat_map(|by| [by, -by]).find(|by| {
        let rest = (turned - *by as f64).rem_euclid(circle);
        rest.min(circle - rest) < ANGLE
    })
}

/// The only head that is wrong, if others are right.
fn one_head(want: &Plane, found: &Plane, past: usize) -> Option<usize> {
    let square = |head: usize| -> f64 {
        let (want, found) = (want.head_from(head, past), found.head_from(head, past));
        want.iter().zip(&found).map(|(w, f)| (w - f).powi(2)).sum()
    };
    let squares: Vec<f64> = (0..want.heads).map(square).collect();
    let all: f64 = squares.iter().sum();
    let head = (0..squares.len()).max_by(|&a, &b| squares[a].total_cmp(&squares[b]))?;
    (squares.len() > 1 && all > 0.0 && squares[head] >= ONE_HEAD * all).then_some(head)
}

/// The narrow format that holds every new value of the target, but not those of the reference.
fn stored_in(want: &Plane, found: &Plane, past: usize) -> Option<Format> {
    let [want, found] = [want, found].map(|plane| plane.from(past));
    let holds = |values: &[f64], format: Format| {
        !values.is_empty() && values.iter().all(|value| format.holds(*value as f32))
    };
    [Format::Bf16, Format::F16]
        .into_iter()
        .find(|&format| holds(&found, format) && !holds(&want, format))
}
