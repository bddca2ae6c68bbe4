//! One exchange with a worker, from start to end, and the execution that results from the exchange.

use super::ending::{Ending, without_waits};
use super::fell_back;
use super::program::WorkerProgram;
use super::supervise::{Remains, Worker};
use crate::engine::{Backend, Execution, Outcome, Output, RanOn, Request};
use crate::tensor::Digest;
use crate::walk::{Fallback, FallbackPlan, Trace, Trust};
use crate::worker::wire::contents::Message;
use crate::worker::wire::protocol::{Ask, Reply, unpack};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// An engine whose operators can be walked.
pub trait Walker {
    /// Walks the operators, then searches as planned. Calls `announced` with each operator before the operator runs.
    fn walk(
        &self,
        request: &Request<'_>,
        plan: Option<&FallbackPlan>,
        announced: &mut dyn FnMut(&Announced),
    ) -> WorkerWalk;
}

/// The result of a walk.
#[derive(Debug)]
pub struct WorkerWalk {
    /// The candidate's run, with the outputs of its first untapped run.
    pub execution: Execution,
    /// The outputs of the reference's clean stream.
    pub reference: Vec<Output>,
    /// The measurements. If the walk did not finish, they come from one tapped run.
    pub found: Option<(Trace, Trust)>,
    /// The result of the search, if a search was planned.
    pub fallback: Option<Fallback>,
    /// The operator that was announced last: the place of a crash or a hang.
    pub last: Option<Announced>,
    /// Whether the crash or hang came after that operator: the worker was in the middle of a message.
    pub after_last: bool,
    /// Whether the crash or hang was in offby's own reference. The last operator is then not to blame.
    pub in_reference: bool,
    /// The operators that began, in the order of execution.
    pub begun: Vec<Announced>,
}

impl WorkerWalk {
    /// A walk that never began.
    pub(in crate::worker) fn without(execution: Execution) -> Self {
        WorkerWalk {
            execution,
            reference: Vec::new(),
            found: None,
            fallback: None,
            last: None,
            after_last: false,
            in_reference: false,
            begun: Vec::new(),
        }
    }
}

/// An operator about to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The operator's place in the order of execution.
    pub index: usize,
    /// The operator's name.
    pub name: String,
    /// The engine's name for the operator's type.
    pub op_type: String,
    /// The search run that the operator belongs to.
    pub trial: Option<usize>,
}

/// The results of a walk, apart from the candidate's run.
pub(in crate::worker) struct Followed {
    reference: Vec<Output>,
    found: (Trace, Trust),
    fallback: Option<Fallback>,
}

/// One exchange with a worker, from start to end.
pub(in crate::worker) struct Conversation {
    ran_on: Option<RanOn>,
    fell_back: bool,
    end: Result<(Reply, Vec<u8>), Ending>,
    evidence: Vec<String>,
    /// Whether the worker has replied to the ask at all.
    heard: bool,
    last: Option<Announced>,
    after_last: bool,
    begun: BTreeMap<usize, Announced>,
    /// The measurements of the first tapped run, in case no more arrive.
    traced: Option<Trace>,
    trial: Option<usize>,
    /// The worker's process number, if even SIGKILL did not end the process.
    stuck: Option<u32>,
}

/// A worker for several exchanges, restarted after an exchange that killed it.
pub(in crate::worker) struct KeptWorker {
    program: WorkerProgram,
    worker: Option<Worker>,
    /// Whether the worker has had no exchange yet.
    is_fresh: bool,
    /// Why a worker did not start when it was asked if it stays open.
    failed: Option<(Ending, Remains)>,
}

impl KeptWorker {
    /// Starts no worker before a worker is needed.
    pub(in crate::worker) fn new(program: &WorkerProgram) -> Self {
        KeptWorker { program: program.clone(), worker: None, is_fresh: false, failed: None }
    }

    /// Whether the worker keeps a network open, and takes feeds of other shapes. Starts the worker if none runs. If
    /// that fails, the next exchange says why.
    pub(in crate::worker) fn stays_open(&mut self, patience: Duration) -> bool {
        if self.worker.is_none() && !self.program.interrupt().is_set() {
            match Worker::start(&self.program, patience) {
                Ok(worker) => (self.worker, self.is_fresh) = (Some(worker), true),
                Err(failed) => self.failed = Some(failed),
            }
        }
        self.worker.as_ref().is_some_and(|worker| worker.stays_open)
    }

    /// Sends the ask and listens to the end of the exchange.
    pub(in crate::worker) fn converse(
        &mut self,
        mut message: Message,
        patience: Duration,
        announced: &mut dyn FnMut(&Announced),
    ) -> Conversation {
        let mut conversation = Conversation::new(self.program.evidence());
        if self.program.interrupt().is_set() {
            conversation.end = Err(Ending::Interrupted);
            return conversation;
        }
        let is_fresh = std::mem::take(&mut self.is_fresh);
        if let Some(mut worker) = self.worker.take() {
            worker.allow(patience);
            conversation.listen(&mut worker, &mut message, patience, announced);
            if is_fresh || !conversation.died_of_earlier(&message) {
                self.part(&mut conversation, worker);
                return conversation;
            }
            conversation.blame_earlier(worker.finish());
        }
        let failed = self.failed.take();
        match failed.map_or_else(|| Worker::start(&self.program, patience), Err) {
            Ok(mut worker) => {
                conversation.listen(&mut worker, &mut message, patience, announced);
                self.part(&mut conversation, worker);
            }
            Err((ending, remains)) => {
                conversation.end = Err(ending);
                conversation.bury(remains);
            }
        }
        conversation
    }

    /// Keeps a worker that answered, and ends any other worker.
    fn part(&mut self, conversation: &mut Conversation, worker: Worker) {
        if conversation.end.is_ok() || conversation.fell_back {
            conversation.evidence.extend(worker.take_evidence());
            self.worker = Some(worker);
        } else {
            conversation.after_last = worker.is_speaking();
            conversation.bury(worker.finish());
        }
    }

    /// Holds one exchange about a run and returns the execution. An `Err` message already is an execution.
    pub(in crate::worker) fn execute(
        &mut self,
        message: Result<Message, Box<Execution>>,
        asked: Option<Backend>,
        deadline: Duration,
    ) -> Execution {
        match message {
            Ok(message) => {
                self.converse(message, deadline, &mut |_| ()).conclude(asked, deadline).0
            }
            Err(execution) => *execution,
        }
    }

    /// Ends the worker and returns its stderr lines since the last exchange.
    fn finish(self) -> Vec<String> {
        self.worker.map_or_else(Vec::new, |worker| worker.dismiss().said)
    }
}

impl Conversation {
    fn new(evidence: Option<String>) -> Self {
        Conversation {
            ran_on: None,
            fell_back: false,
            end: Err(Ending::TimedOut),
            evidence: evidence.into_iter().collect(),
            heard: false,
            last: None,
            after_last: false,
            begun: BTreeMap::new(),
            traced: None,
            trial: None,
            stuck: None,
        }
    }

    /// Whether a kept worker ended before its first reply to this ask. Then the previous ask ended the worker, and a
    /// new worker gets this ask. An ask about the open network is not repeated, because that network is lost.
    fn died_of_earlier(&self, message: &Message) -> bool {
        let is_another = match &self.end {
            Ok(_) | Err(Ending::TimedOut | Ending::Interrupted | Ending::Absent { .. }) => false,
            Err(_) => !self.heard,
        };
        is_another && !matches!(message.ask, Ask::Again { .. } | Ask::Next { .. })
    }

    fn blame_earlier(&mut self, remains: Remains) {
        if let Err(ending) = &self.end {
            let how = ending.describe_with(&remains.said);
            self.evidence.push(format!("after its last run, and before this one: {how}"));
        }
        self.bury(remains);
    }

    fn bury(&mut self, remains: Remains) {
        self.evidence.extend(remains.said);
        self.stuck = remains.stuck;
    }

    /// Starts a worker, asks, listens to the end, and ends the worker.
    pub(in crate::worker) fn hold(
        program: &WorkerProgram,
        message: Message,
        patience: Duration,
        announced: &mut dyn FnMut(&Announced),
    ) -> Self {
        let mut kept = KeptWorker::new(program);
        let mut conversation = kept.converse(message, patience, announced);
        conversation.evidence.extend(kept.finish());
        conversation
    }

    /// The result of a walk.
    pub(in crate::worker) fn walked(
        mut self,
        asked: Option<Backend>,
        deadline: Duration,
    ) -> WorkerWalk {
        let (last, after_last) = (self.last.take(), self.after_last);
        let in_reference =
            self.end.as_ref().is_err_and(|ending| ending.is_in_reference(&self.evidence));
        let begun = std::mem::take(&mut self.begun).into_values().collect();
        let found = self.traced.take().map(|trace| (trace, Trust::of_one_run()));
        let (execution, walked) = self.conclude(asked, deadline);
        let without = WorkerWalk {
            found,
            last,
            after_last,
            in_reference,
            begun,
            ..WorkerWalk::without(execution)
        };
        match walked {
            None => without,
            Some(Followed { reference, found, fallback }) => {
                WorkerWalk { reference, found: Some(found), fallback, ..without }
            }
        }
    }

    /// Takes messages until one ends the exchange.
    fn listen(
        &mut self,
        worker: &mut Worker,
        message: &mut Message,
        patience: Duration,
        announced: &mut dyn FnMut(&Announced),
    ) {
        let mut heard = worker.ask(&message.ask, Vec::new());
        loop {
            self.heard |= heard.is_ok();
            heard = match heard {
                Ok((Reply::Wanted { digests }, _)) => supply(worker, message, &digests),
                Ok((Reply::Opened { ran_on, as_asked }, _)) => {
                    self.ran_on = Some(ran_on);
                    self.fell_back = !as_asked;
                    if self.fell_back {
                        return;
                    }
                    worker.receive()
                }
                Ok((Reply::Op { index, name, op_type }, _)) => {
                    let operator = Announced { index, name, op_type, trial: self.trial };
                    self.begun.entry(index).or_insert_with(|| operator.clone());
                    announced(self.last.insert(operator));
                    worker.receive()
                }
                Ok((Reply::Traced { trace }, _)) => {
                    self.traced = Some(trace);
                    worker.receive()
                }
                // Each run of a search may take as long as the walk.
                Ok((Reply::Trial { number }, _)) => {
                    self.trial = Some(number);
                    worker.allow(patience);
                    worker.receive()
                }
                end => {
                    self.end = end;
                    return;
                }
            };
        }
    }

    /// The result of a run.
    pub(in crate::worker) fn conclude(
        self,
        asked: Option<Backend>,
        deadline: Duration,
    ) -> (Execution, Option<Followed>) {
        if self.fell_back {
            let evidence = without_waits(self.evidence);
            return (fell_back::explain(asked, self.ran_on, evidence), None);
        }
        let (mut execution, walked) = match self.end {
            Ok((reply, body)) => from_reply(reply, &body, deadline),
            Err(ending) => (ended(&ending, &self.evidence, deadline), None),
        };
        if let (Some(reason), Some(process)) = (&mut execution.reason, self.stuck) {
            reason.push_str(&format!(
                "; process {process} was killed and does not end: its driver does not come back from the kernel"
            ));
        }
        execution.ran_on = execution.ran_on.or(self.ran_on);
        execution.evidence = without_waits(self.evidence);
        (execution, walked)
    }
}

/// Sends a worker the contents that it lacks, and asks again.
fn supply(
    worker: &mut Worker,
    message: &mut Message,
    wanted: &BTreeSet<Digest>,
) -> Result<(Reply, Vec<u8>), Ending> {
    let Some((keep, body)) = message.contents.give(wanted) else {
        let what = "it wants contents that it was given already, or that nobody named";
        return Err(Ending::Garbage(what.into()));
    };
    match worker.ask(&keep, body)? {
        (Reply::Kept, _) => worker.ask(&message.ask, Vec::new()),
        (other, _) => Err(Ending::Garbage(format!("it answered contents with {other:?}"))),
    }
}

fn from_reply(reply: Reply, body: &[u8], deadline: Duration) -> (Execution, Option<Followed>) {
    let garbage = |error: String| (ended(&Ending::Garbage(error), &[], deadline), None);
    match reply {
        Reply::Ran { outputs, runs, ran_on } => match unpack(outputs, body) {
            Ok(outputs) => (Execution::completed(ran_on, outputs, runs), None),
            Err(error) => garbage(error.to_string()),
        },
        Reply::Walked { trace, trust, runs, ran_on, fallback, outputs, reference } => {
            let candidates = outputs.len();
            match unpack(outputs.into_iter().chain(reference).collect(), body) {
                Ok(mut outputs) => {
                    let reference = outputs.split_off(candidates);
                    let fallback = fallback.map(|found| *found);
                    let followed = Followed { reference, found: (trace, trust), fallback };
                    (Execution::completed(ran_on, outputs, runs), Some(followed))
                }
                Err(error) => garbage(error.to_string()),
            }
        }
        Reply::Rejected { reason } => (Execution::without_outputs(Outcome::Rejected, reason), None),
        Reply::Unavailable { reason, hint } => {
            (Execution::without_outputs(Outcome::Unavailable, reason).with_hint(hint), None)
        }
        other => garbage(format!("an unexpected answer, {other:?}")),
    }
}

/// The execution for an ending, in the words of the ending and of the dead worker.
fn ended(ending: &Ending, said: &[String], deadline: Duration) -> Execution {
    let words = ending.describe_with(said);
    let execution = match ending {
        Ending::TimedOut => {
            let why = match ending.is_in_reference(said) {
                true => ", because the target waited for offby's own reference",
                false => "; the worker was killed",
            };
            let reason = format!("no answer within {} seconds{why}", deadline.as_secs());
            Execution::without_outputs(Outcome::TimedOut, reason)
                .with_hint("give it longer with --timeout SECONDS")
        }
        Ending::Absent { hint, .. } => {
            Execution::without_outputs(Outcome::Unavailable, words).with_hint(*hint)
        }
        Ending::Interrupted => Execution::without_outputs(Outcome::Interrupted, words),
        Ending::Signal(_) | Ending::Exit(_) if ending.is_in_reference(said) => {
            Execution::without_outputs(Outcome::Crashed, words)
                .with_hint("see what the target does by itself: `offby run`, or `offby walk` with --strategy cut")
        }
        Ending::OutOfMemory { .. } => Execution::without_outputs(Outcome::Crashed, words)
            .with_hint("give it more with --memory SIZE, if it is to have that much"),
        Ending::Signal(_)
        | Ending::Exit(_)
        | Ending::Garbage(_)
        | Ending::HalfFrame
        | Ending::EarlyEof => Execution::without_outputs(Outcome::Crashed, words),
    };
    Execution { ended: Some(ending.ended()), ..execution }
}
