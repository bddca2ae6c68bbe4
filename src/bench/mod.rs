//! How long a network takes on several targets, told so that one can be set against another on a
//! machine that has other work, too: they take turns, each with its network open.

mod latency;
mod turns;

pub use latency::{Bench, Latency, Ratio};
pub use turns::{Lane, Plan, finish, take_turns};
