//! A session that keeps one network open from input to input.

use super::{EngineSession, Execution, Outcome, Request};
use crate::inputs::Feed;

/// A session for one network. It opens the network again only for shapes that the open network does not take.
pub struct OpenSession<'e> {
    session: Box<dyn EngineSession + 'e>,
    /// The shapes that the network is open on.
    shapes: Option<Vec<Vec<usize>>>,
}

impl<'e> OpenSession<'e> {
    /// Opens the network at the first run.
    pub fn new(session: Box<dyn EngineSession + 'e>) -> Self {
        OpenSession { session, shapes: None }
    }

    /// Whether a run on these feeds needs no opening.
    pub fn is_open_for(&self, feeds: &[Feed]) -> bool {
        let takes =
            |open: &Vec<Vec<usize>>| *open == extents(feeds) || self.session.takes_other_shapes();
        self.shapes.as_ref().is_some_and(takes)
    }

    /// Runs the network, and opens it if it must.
    pub fn run(&mut self, request: &Request<'_>) -> Execution {
        let execution = match self.is_open_for(request.feeds) {
            true => self.session.next(request),
            false => self.session.execute(request),
        };
        let is_open = execution.outcome == Outcome::Completed;
        self.shapes = is_open.then(|| extents(request.feeds));
        execution
    }
}

fn extents(feeds: &[Feed]) -> Vec<Vec<usize>> {
    feeds.iter().map(|feed| feed.tensor.shape().to_vec()).collect()
}
