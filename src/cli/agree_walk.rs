//! `--walk-worst`: walks the operators for the worst inputs of each target, and checks whether the
//! same operators cause the error.

use super::agree_opened::Opened;
use super::matrix_from::cell;
use super::screen;
use crate::agree::{Agree, Blame, WalkedInput, WorstInput};
use crate::engine::Request;
use crate::session::{Evaluator, Failure, Reference, Settings};
use crate::worker::interrupted;

/// Walks the worst inputs of each target that can be walked, as many as the user asked for.
pub(super) fn walk_worst(opened: &Opened<'_>, agree: &mut Agree) -> Result<(), Failure> {
    let progress = screen::progress(opened.args.giving.output.quiet);
    for (lane, (name, target)) in agree.targets.iter_mut().zip(&opened.lanes[1..]) {
        if opened.args.walk_worst == 0 || opened.registry.walker(target).is_none() {
            continue;
        }
        let mut walked = Vec::new();
        for WorstInput { input, id, .. } in lane.tally.worst.iter().take(opened.args.walk_worst) {
            if interrupted() {
                break;
            }
            progress.set_message(format!("{name}: walking {id}"));
            let given = opened.inputs.read(&opened.model, *input)?;
            let request = Request {
                model: given.model(&opened.model),
                feeds: &given.sample.feeds,
                repeats: opened.args.repeat.max(1),
                deadline: opened.deadline(),
            };
            let (_, reference) = &opened.lanes[0];
            let reference = Reference::run(&opened.registry, &request, reference)?;
            if interrupted() {
                break;
            }
            let settings = Settings { user: opened.user, ..Settings::default() };
            let session = Evaluator::new(request, &opened.registry, &reference, settings);
            let found = session.follow(target, None, &mut |_| ())?;
            if interrupted() {
                break;
            }
            let cell = cell(&session.judge_walked(target, found));
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
