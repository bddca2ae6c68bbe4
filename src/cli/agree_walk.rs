//! `--walk-worst`: the operators of the worst inputs of each target, and whether the same ones are to
//! blame.

use super::agree_run::Opened;
use super::examine::Truth;
use super::failure::Failure;
use super::matrix_from::cell;
use super::run::no_reference;
use super::screen;
use super::walk::examine_walked;
use crate::agree::{Agree, Blame, WalkedInput, Worst};
use crate::choice::Source;
use crate::engine::{Outcome, Request};
use crate::worker::interrupted;

/// Walks what was asked for, where targets can be walked.
pub(super) fn walk_worst(opened: &Opened<'_>, agree: &mut Agree) -> Result<(), Failure> {
    let progress = screen::progress(opened.args.giving.output.quiet);
    for (lane, (name, target)) in agree.targets.iter_mut().zip(&opened.lanes[1..]) {
        let Some(walker) = opened.registry.walker(target).filter(|_| opened.args.walk_worst > 0)
        else {
            continue;
        };
        let mut walked = Vec::new();
        for Worst { input, id, .. } in lane.tally.worst.iter().take(opened.args.walk_worst) {
            if interrupted() {
                break;
            }
            progress.set_message(format!("{name}: walking {id}"));
            let sample = opened.dataset.read(*input)?;
            let request = Request {
                model: &opened.model,
                feeds: &sample.feeds,
                repeats: opened.args.repeat.max(1),
                deadline: opened.deadline(),
            };
            let (_, reference) = &opened.lanes[0];
            let truth = opened.registry.engine(reference).execute(&request);
            if interrupted() {
                break;
            }
            if truth.outcome != Outcome::Completed {
                return Err(no_reference(reference, &truth));
            }
            let found = walker.walk(&request, None, &mut |_| ());
            if interrupted() {
                break;
            }
            let source = Source::new(request, opened.registry.engine(reference));
            let report = examine_walked(target, found, Truth::of(&truth, &source), opened.user);
            let cell = cell(&report);
            walked.push(WalkedInput {
                input: *input,
                id: id.clone(),
                kind: cell.kind,
                sentence: cell.sentence,
                sources: cell.sources.unwrap_or_default(),
            });
        }
        lane.blame = Some(Blame::new(walked));
    }
    progress.finish_and_clear();
    Ok(())
}
