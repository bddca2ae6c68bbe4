//! Measures how long a network takes on several targets. The targets take turns, each with its network
//! open. So the times are comparable even on a machine with other work.

mod latency;
mod turns;

pub use latency::{Bench, Latency, Ratio};
pub use turns::{BenchLane, TurnPlan, finish, take_turns};
