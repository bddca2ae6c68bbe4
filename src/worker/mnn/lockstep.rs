//! A module of MNN, one operator at a time. A module cannot be stepped from outside: it decides as it runs what
//! comes next. So it runs in a thread of its own, which waits at the operators that are asked for.

use super::session::{Movable, Op, Refusal, Session, Tap, TensorRef};
use super::stepper::{Names, ReadTap, WriteTap};
use crate::walk::{Operand, Operator, Unchecked};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// A module that waits.
pub(super) struct Lockstep {
    /// The place of each operator in a run on the feeds.
    numbers: BTreeMap<(String, usize), usize>,
    /// Between runs.
    session: Option<Movable>,
    running: Option<Running>,
    /// The operators before this one have run.
    cursor: usize,
}

/// A run under way.
struct Running {
    asks: Sender<Ask>,
    answers: Receiver<ReadTap>,
    thread: JoinHandle<(Movable, Result<(), Refusal>)>,
}

/// Which operator is to be shown, and what it is to compute on, if not on what it has.
struct Ask {
    key: (String, usize),
    inputs: Option<Vec<Operand>>,
}

impl Lockstep {
    /// Runs once, to learn the operators. The session holds its feeds.
    pub(super) fn new(mut session: Session) -> Result<Self, Refusal> {
        let mut list = ListTap::default();
        session.run_tapped(&mut list)?;
        let session = Some(Movable(session));
        Ok(Lockstep { numbers: list.numbers, session, running: None, cursor: 0 })
    }

    /// Ends a run that is under way, and gives the session.
    pub(super) fn rest(&mut self) -> Result<&mut Session, Refusal> {
        self.cursor = 0;
        if let Some(Running { asks, thread, .. }) = self.running.take() {
            // With nobody left to ask it goes on to its end.
            drop(asks);
            let (session, ended) = thread.join().map_err(|_| "MNN's thread ended".to_owned())?;
            self.session = Some(session);
            ended?;
        }
        let session = self.session.as_mut().ok_or("MNN's thread ended")?;
        Ok(&mut session.0)
    }

    /// Goes on to an operator, which computes on its own inputs, or on these; gives what it read.
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
            let ask = Ask { key, inputs: inputs.map(<[Operand]>::to_vec) };
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
        let mut gate =
            Gate { names: Names::default(), asked, answer, wanted: None, at: At::Others };
        session.run_tapped(&mut gate)
    });
    Running { asks, answers, thread }
}

/// Waits at each operator until it is known which one is wanted next.
struct Gate {
    names: Names,
    asked: Receiver<Ask>,
    answer: Sender<ReadTap>,
    wanted: Option<Ask>,
    at: At,
}

/// The operator that runs.
enum At {
    /// Not the one that is wanted.
    Others,
    /// The one, and what was read of it so far.
    Wanted(ReadTap),
}

impl Tap for Gate {
    fn before(&mut self, op: &Op, inputs: &[TensorRef<'_>]) -> bool {
        let operator = self.names.operator(op);
        if self.wanted.is_none() {
            self.wanted = self.asked.recv().ok();
        }
        self.at = At::Others;
        let is_wanted = |ask: &mut Ask| ask.key == (operator.name, operator.occurrence);
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
        // With nobody left to ask, nobody waits for it.
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

impl Tap for ListTap {
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
