//! tract beside MNN's clean stream: where an operator's name is that of an ONNX value, the two can be
//! compared, and what differs is the conversion's doing.

use crate::engine::{NodeSteps, Output};
use crate::graph::Model;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use crate::walk::{Gauge, gauge};
use crate::worker::contents::NETWORK;
use std::path::Path;

/// How many operators a converter may have fused behind the one whose name it kept.
const FUSED: usize = 6;

/// tract's stream of the ONNX model, as far as it has been asked for.
pub(super) struct Beside {
    steps: Option<NodeSteps>,
    feeds: Vec<Feed>,
    cursor: usize,
}

impl Beside {
    /// The stream of a model; without one, where tract does not take it, nothing is compared.
    pub(super) fn new(onnx: Option<Vec<u8>>, feeds: &[Output]) -> Self {
        let model = onnx.and_then(|onnx| Model::from_bytes(&onnx, Path::new(NETWORK)).ok());
        let steps = model.and_then(|model| NodeSteps::new(&model).ok());
        let feeds = feeds.iter().cloned().map(Feed::from).collect();
        Beside { steps, feeds, cursor: 0 }
    }

    /// Starts again with the feeds.
    pub(super) fn restart(&mut self) {
        self.cursor = 0;
        // Feeds that do not fit end the comparison, not the walk.
        let feeds = &self.feeds;
        self.steps =
            self.steps.take().and_then(|mut steps| steps.start(feeds).ok().map(|()| steps));
    }

    /// How far MNN's clean value is from tract's of the same name. A converter that fuses an operator
    /// with those that follow keeps the first one's name for the last one's value: where the named
    /// value does not fit, those right behind it are tried.
    pub(super) fn gauge(&mut self, name: &str, clean: &Tensor) -> Option<Gauge> {
        let mut step = self.steps.as_ref()?.step_of(name)?;
        let mut best = self.gauge_step(step, clean);
        for _ in 0..FUSED {
            if best.is_some_and(|gauge| gauge.within_f32) {
                break;
            }
            let Some(next) = self.steps.as_ref()?.only_consumer(step) else { break };
            step = next;
            let gauge = self.gauge_step(step, clean);
            let better = |gauge: &Gauge| best.is_none_or(|best| gauge.rel_l2 < best.rel_l2);
            best = gauge.filter(better).or(best);
        }
        best
    }

    fn gauge_step(&mut self, step: usize, clean: &Tensor) -> Option<Gauge> {
        let steps = self.steps.as_mut()?;
        while self.cursor <= step {
            steps.advance(self.cursor, &Tensor::clone).ok()?;
            self.cursor += 1;
        }
        gauge(steps.output(step)?, clean)
    }
}
