//! All tests of the program and the library, in one binary: MNN is linked once. `cargo test --test it truth::` runs
//! one file of them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that panics has failed, and says why"
)]

mod agree;
mod audit;
mod bad_input;
mod bench;
mod bisect;
mod bundle;
mod cases;
mod compare;
mod console;
mod cut;
mod debug_models;
mod decode;
mod diff;
mod dump;
mod engines;
mod expansions;
mod explode;
mod fallback;
mod interruption;
mod law;
mod matrix;
mod nonfinite;
mod opengl;
mod protocol;
mod quantised;
mod remote;
mod report;
mod report_forms;
mod results;
mod run;
mod search;
mod sim;
mod strategies;
mod supervision;
mod support;
mod truth;
mod walk;
mod web;
