//! What is planted, where, and what must be said of it. Everything follows from the seed.

use offby::engine::{Ended, Outcome};
use offby::inputs::Random;

/// Ways to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Leaves with status 3.
    Exit,
    /// Aborts with an assertion on stderr.
    Abort,
    Segv,
    Bus,
    Fpe,
    Ill,
    Kill,
    /// Sleeps for ever.
    Hang,
    /// Works for ever.
    Busy,
    /// Is stopped, as by a debugger.
    Stopped,
    /// Never reads its stdin again.
    Deaf,
    /// Hangs, and has a process in another session that holds its pipes and ignores all it can.
    Stuck,
    /// Uses more and more memory.
    Memory,
    /// Prints where frames belong.
    Garbage,
    /// Announces a frame beyond all measure.
    Huge,
    /// Leaves in peace, in the middle of a frame.
    Half,
    /// Closes its pipe and goes on.
    EarlyEof,
    /// Leaves with status 4; a process of its group holds its pipes.
    Held,
    /// The same, with a process in another session.
    Escaped,
    /// Says much on stdout and stderr, and is right.
    Chatter,
    /// Writes 8 MiB to stderr without a line break, and is right.
    Flood,
}

/// Moments to do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Greeting,
    Greeted,
    /// While it is given contents.
    Contents,
    Opening,
    /// It stands, and no operator has begun.
    Opened,
    /// In an operator of the first run.
    Op,
    /// In an operator of a later run.
    Later,
    /// In an operator of a search's run.
    Trial,
    /// Half of the answer is sent.
    Answering,
    Answered,
    /// When its stdin ends.
    Parting,
}

/// With the names that the table has.
pub(crate) const KINDS: &[(Kind, &str)] = &[
    (Kind::Exit, "exit"),
    (Kind::Abort, "abort"),
    (Kind::Segv, "segv"),
    (Kind::Bus, "bus"),
    (Kind::Fpe, "fpe"),
    (Kind::Ill, "ill"),
    (Kind::Kill, "kill"),
    (Kind::Hang, "hang"),
    (Kind::Busy, "busy"),
    (Kind::Stopped, "stopped"),
    (Kind::Deaf, "deaf"),
    (Kind::Stuck, "stuck"),
    (Kind::Memory, "memory"),
    (Kind::Garbage, "garbage"),
    (Kind::Huge, "huge"),
    (Kind::Half, "half"),
    (Kind::EarlyEof, "early-eof"),
    (Kind::Held, "held"),
    (Kind::Escaped, "escaped"),
    (Kind::Chatter, "chatter"),
    (Kind::Flood, "flood"),
];

/// With the names that the table has.
pub(crate) const STAGES: &[(Stage, &str)] = &[
    (Stage::Greeting, "greeting"),
    (Stage::Greeted, "greeted"),
    (Stage::Contents, "given"),
    (Stage::Opening, "opening"),
    (Stage::Opened, "opened"),
    (Stage::Op, "op"),
    (Stage::Later, "later"),
    (Stage::Trial, "trial"),
    (Stage::Answering, "sending"),
    (Stage::Answered, "sent"),
    (Stage::Parting, "parting"),
];

/// How the parent asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Run,
    Walk,
    /// A walk, and a search after it.
    Search,
    /// Two networks in a row, on a worker that is kept.
    Session,
}

/// One way to go wrong at one moment of one exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) stage: Stage,
    pub(crate) way: Way,
    /// Which network of those there are.
    pub(crate) network: usize,
    /// Draws one of the moments of the stage.
    pub(crate) moment: usize,
}

impl Plan {
    /// The plan of a number: all kinds at all stages take turns, the rest is drawn.
    pub(crate) fn draw(seed: u64, number: usize, networks: usize) -> Self {
        let mut random = Random::new(seed.wrapping_mul(9_000_011).wrapping_add(number as u64));
        let mut below = |bound: usize| random.below(bound as u128) as usize;
        let (kind, _) = KINDS[number % KINDS.len()];
        // With each round over all kinds the stages move on by one.
        let (round, turn) = (number / KINDS.len(), number % KINDS.len());
        let (stage, _) = STAGES[(round + turn) % STAGES.len()];
        let way = match stage {
            Stage::Trial => Way::Search,
            Stage::Op | Stage::Later => Way::Walk,
            Stage::Answered => Way::Session,
            _ if below(3) == 0 => Way::Run,
            _ => Way::Walk,
        };
        Plan { kind, stage, way, network: below(networks), moment: below(1 << 20) }
    }

    /// How the worker ends, if it does.
    pub(crate) fn ended(&self) -> Option<Ended> {
        if matches!(self.stage, Stage::Answered | Stage::Parting) {
            return None;
        }
        let reads_on = self.stage <= Stage::Contents;
        match self.kind {
            Kind::Exit | Kind::Held | Kind::Escaped => Some(Ended::Exit),
            Kind::Abort | Kind::Segv | Kind::Bus | Kind::Fpe | Kind::Ill | Kind::Kill => {
                Some(Ended::Signal)
            }
            Kind::Hang | Kind::Busy | Kind::Stopped | Kind::Stuck => Some(Ended::Deadline),
            // Who has been asked everything has nothing to read any more.
            Kind::Deaf => reads_on.then_some(Ended::Deadline),
            Kind::Memory => Some(Ended::OutOfMemory),
            Kind::Garbage | Kind::Huge => Some(Ended::Garbage),
            Kind::Half => Some(Ended::HalfFrame),
            Kind::EarlyEof if self.stage == Stage::Answering => Some(Ended::HalfFrame),
            Kind::EarlyEof => Some(Ended::EarlyEof),
            Kind::Chatter | Kind::Flood => None,
        }
    }

    /// The outcome. Who never greets was never there, unless it took its time or memory for it.
    pub(crate) fn outcome(&self) -> Outcome {
        match self.ended() {
            None => Outcome::Completed,
            Some(Ended::Deadline) => Outcome::TimedOut,
            Some(Ended::OutOfMemory) => Outcome::Crashed,
            Some(_) if self.stage == Stage::Greeting => Outcome::Unavailable,
            Some(_) => Outcome::Crashed,
        }
    }

    /// How the network after it ends, on a worker that is kept: one that died is not its doing.
    pub(crate) fn second_outcome(&self) -> Outcome {
        match self.kind {
            Kind::Hang | Kind::Busy | Kind::Stopped | Kind::Deaf | Kind::Stuck => Outcome::TimedOut,
            _ => Outcome::Completed,
        }
    }

    /// Whether the worker had left its last operator: it was in the middle of a message.
    pub(crate) fn after_last(&self) -> bool {
        let inside = self.stage == Stage::Answering && self.kind != Kind::Huge;
        self.ended().is_some() && (inside || self.kind == Kind::Half)
    }

    /// Whether the first run of a walk came to its end, so that what it showed is told.
    pub(crate) fn finds(&self) -> bool {
        self.ended().is_none() || self.stage >= Stage::Later
    }

    /// What the sentence must say beside.
    pub(crate) fn words(&self) -> &'static str {
        match self.kind {
            _ if self.ended().is_none() => "",
            Kind::Exit => "status 3",
            Kind::Held | Kind::Escaped => "status 4",
            Kind::Abort => "Assertion `stride > 0' failed",
            Kind::Segv => "SIGSEGV",
            Kind::Bus => "SIGBUS",
            Kind::Fpe => "SIGFPE",
            Kind::Ill => "SIGILL",
            Kind::Kill => "SIGKILL",
            Kind::Memory => "out of memory: the worker used ",
            Kind::Huge => "beyond all measure",
            _ => "",
        }
    }
}
