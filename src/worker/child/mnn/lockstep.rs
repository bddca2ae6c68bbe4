//! Steps a module of MNN one operator at a time. A module cannot be stepped from outside: the module chooses the next
//! operator as it runs. So the module runs on a separate thread, which waits at the requested operators.

use super::reference_death;
use super::session::{MnnSession, Movable, Op, Refusal, RunTap, TensorRef};
use super::taps::{Names, ReadTap, WriteTap};
use crate::walk::{Operand, Operator, Unchecked};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// A module that waits at the requested operators.
pub(super) struct Lockstep {
    /// The place of each operator in a run on the feeds.
    numbers: BTreeMap<(String, usize), usize>,
    /// The session, between runs.
    session: Option<Movable>,
    running: Option<Running>,
    /// All operators before this one have run.
    cursor: usize,
}

/// A run in progress.
struct Running {
    asks: Sender<OperatorAsk>,
    answers: Receiver<ReadTap>,
    thread: JoinHandle<(Movable, Result<(), Refusal>)>,
}

/// The operator to read, and its inputs if they are not the module's own.
struct OperatorAsk {
    key: (String, usize),
    inputs: Option<Vec<Operand>>,
}

impl Lockstep {
    /// Runs once, to learn the operators. The session already contains its feeds.
    pub(super) fn new(mut session: MnnSession) -> Result<Self, Refusal> {
        let mut list = ListTap::default();
        session.run_tapped(&mut list)?;
        let session = Some(Movable(session));
        Ok(Lockstep { numbers: list.numbers, session, running: None, cursor: 0 })
    }

    /// Ends a run in progress, and returns the session.
    pub(super) fn rest(&mut self) -> Result<&mut MnnSession, Refusal> {
        self.cursor = 0;
        if let Some(Running { asks, thread, .. }) = self.running.take() {
            // If no caller can ask any more, the run continues to its end.
            drop(asks);
            let (session, ended) = thread.join().map_err(|_| "MNN's thread ended".to_owned())?;
            self.session = Some(session);
            ended?;
        }
        let session = self.session.as_mut().ok_or("MNN's thread ended")?;
        Ok(&mut session.0)
    }

    /// Continues to an operator and reads it. The operator computes on `inputs`, or without them on its own inputs.
    pub(super) fn at(
        &mut self,
        operator: &Operator,
        inputs: Option<&[Operand]>,
    ) -> Result<ReadTap, Unchecked> {
        let key = (operator.name.clone(), operator.occurrence);
        let number = self.numbers.get(&key).copied();
        let number = number.ok_or_else(|| "the reference has no such operator".to_owned())?;
        if number < self.cursor {
            self.rest()?;
        }
        if self.running.is_none() {
            let session = self.session.take().ok_or("MNN's thread ended")?;
            self.running = Some(begin(session));
        }
        self.cursor = number + 1;
        let answer = self.running.as_ref().and_then(|running| {
            let ask = OperatorAsk { key, inputs: inputs.map(<[Operand]>::to_vec) };
            running.asks.send(ask).ok()?;
            running.answers.recv().ok()
        });
        match answer {
            Some(read) => Ok(read),
            None => {
                self.rest()?;
                Err("the reference runs other operators on these values".to_owned())
            }
        }
    }
}

fn begin(session: Movable) -> Running {
    let (asks, asked) = channel();
    let (answer, answers) = channel();
    let thread = std::thread::spawn(move || {
        reference_death::mark_thread();
        let mut gate =
            Gate { names: Names::default(), asked, answer, wanted: None, at: At::Others };
        session.run_tapped(&mut gate)
    });
    Running { asks, answers, thread }
}

/// Waits at each operator until the next requested operator is known.
struct Gate {
    names: Names,
    asked: Receiver<OperatorAsk>,
    answer: Sender<ReadTap>,
    wanted: Option<OperatorAsk>,
    at: At,
}

/// The operator that runs now.
enum At {
    /// Not the requested operator.
    Others,
    /// The requested operator, and what was read from it so far.
    Wanted(ReadTap),
}

impl RunTap for Gate {
    fn before(&mut self, op: &Op, inputs: &[TensorRef<'_>]) -> bool {
        let operator = self.names.operator(op);
        if self.wanted.is_none() {
            self.wanted = self.asked.recv().ok();
        }
        self.at = At::Others;
        let is_wanted = |ask: &mut OperatorAsk| ask.key == (operator.name, operator.occurrence);
        let Some(ask) = self.wanted.take_if(is_wanted) else { return true };
        let mut read = ReadTap::default();
        match ask.inputs {
            None => read.before(op, inputs),
            Some(given) => {
                let mut write = WriteTap::new(&given);
                write.before(op, inputs);
                let shares = || "its inputs share memory in the reference".to_owned();
                let failed = write.failed.take();
                let failed = failed.or_else(|| (!write.holds(inputs)).then(shares));
                read.outputs = failed.map_or(Ok(Vec::new()), Err);
                true
            }
        };
        self.at = At::Wanted(read);
        true
    }

    fn after(&mut self, op: &Op, outputs: &[TensorRef<'_>]) -> bool {
        let mut read = match std::mem::replace(&mut self.at, At::Others) {
            At::Others => return true,
            At::Wanted(read) => read,
        };
        if read.outputs.is_ok() {
            read.after(op, outputs);
        }
        // If no caller can ask any more, no caller waits for the answer.
        let _ = self.answer.send(read);
        true
    }
}

/// Numbers the operators of a run.
#[derive(Default)]
struct ListTap {
    names: Names,
    numbers: BTreeMap<(String, usize), usize>,
}

impl RunTap for ListTap {
    fn before(&mut self, op: &Op, _: &[TensorRef<'_>]) -> bool {
        let operator = self.names.operator(op);
        let number = self.numbers.len();
        self.numbers.insert((operator.name, operator.occurrence), number);
        true
    }
    fn after(&mut self, _: &Op, _: &[TensorRef<'_>]) -> bool {
        true
    }
}
