//! Runs a target and judges its outputs.

use super::{Evaluator, judge};
use crate::engine::{EngineSession, Execution, Target};
use crate::report::TargetReport;
use crate::verdict::News;

impl Evaluator<'_> {
    /// Runs a target and judges its outputs.
    pub fn run(&self, target: &Target) -> TargetReport {
        let execution = self.registry.engine(target).execute(&self.request);
        self.judge_run(target, execution)
    }

    /// Runs a target in a session that may have run other networks, and judges its outputs. What is not good is run
    /// again in a new process, so that no other network is to blame.
    pub fn run_in(&self, session: &mut dyn EngineSession, target: &Target) -> TargetReport {
        let report = self.judge_run(target, session.execute(&self.request));
        match report.verdict.kind.news() {
            News::Good => report,
            News::Bad | News::None => self.run(target),
        }
    }

    /// Judges the outputs of a run. Only a walk shows whether the engine's converter caused an error. So the
    /// session walks if the user accepts such errors.
    pub fn judge_run(&self, target: &Target, execution: Execution) -> TargetReport {
        self.held_to_finite(self.judge_executed(target, &execution))
    }

    fn judge_executed(&self, target: &Target, execution: &Execution) -> TargetReport {
        let report = self.judge(target, execution);
        let is_bad = report.verdict.kind.news() == News::Bad;
        if self.settings.allow_converter.is_none() || !is_bad {
            return report;
        }
        let Ok(walked) = self.follow(target, None, &mut |_| ()) else { return report };
        let walked = self.judge_walked(target, walked);
        match walked.verdict.kind.news() {
            News::Good => TargetReport { verdict: walked.verdict, origin: walked.origin, ..report },
            _ => report,
        }
    }

    /// Judges a target's outputs; the referees are asked if the outputs differ from the reference's.
    pub(super) fn judge(&self, target: &Target, execution: &Execution) -> TargetReport {
        judge::judge(self, target, execution)
    }
}
