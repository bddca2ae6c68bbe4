//! What is planted, at which stage, and what the report must say. Everything follows from the seed.

use offby::engine::{Ended, Outcome};
use offby::inputs::Random;

/// Ways to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Exits with status 3.
    Exit,
    /// Aborts with an assertion on stderr.
    Abort,
    Segv,
    Bus,
    Fpe,
    Ill,
    Kill,
    /// Sleeps forever.
    Hang,
    /// Works forever.
    Busy,
    /// Is stopped, as by a debugger.
    Stopped,
    /// Never reads its stdin again.
    Deaf,
    /// Hangs, with a process in a different session that holds its pipes and ignores all signals it can.
    Stuck,
    /// Uses more and more memory.
    Memory,
    /// Prints text in place of frames.
    Garbage,
    /// Announces an absurdly large frame.
    Huge,
    /// Exits normally in the middle of a frame.
    Half,
    /// Closes its pipe and keeps running.
    EarlyEof,
    /// Exits with status 4; a process of its group holds its pipes.
    Held,
    /// Exits with status 4; a process in a different session holds its pipes.
    Escaped,
    /// Prints much on stdout and stderr, and is right.
    Chatter,
    /// Writes 8 MiB to stderr without a line break, and is right.
    Flood,
}

/// Moments to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Greeting,
    Greeted,
    /// While the parent sends contents.
    Contents,
    Opening,
    /// The network is open, and no operator has begun.
    Opened,
    /// In an operator of the first run.
    Op,
    /// In an operator of a later run.
    Later,
    /// In an operator of a search's run.
    Trial,
    /// With half of the answer sent.
    Answering,
    Answered,
    /// When its stdin ends.
    Parting,
}

/// The kinds, with their names in the table.
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

/// The stages, with their names in the table.
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
    /// A walk, followed by a search.
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
    /// The index of the network.
    pub(crate) network: usize,
    /// Selects one of the stage's moments.
    pub(crate) moment: usize,
}

impl Plan {
    /// The plan for a number: all kinds at all stages take turns, the rest is drawn.
    pub(crate) fn draw(seed: u64, number: usize, networks: usize) -> Self {
        let mut random = Random::new(seed.wrapping_mul(9_000_011).wrapping_add(number as u64));
        let mut below = |bound: usize| random.below(bound as u128) as usize;
        let (kind, _) = KINDS[number % KINDS.len()];
        // Each round over all kinds shifts the stages by one.
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

    /// How the worker ends, if it ends.
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
            // A worker that has received every ask has no more input to read.
            Kind::Deaf => reads_on.then_some(Ended::Deadline),
            Kind::Memory => Some(Ended::OutOfMemory),
            Kind::Garbage | Kind::Huge => Some(Ended::Garbage),
            Kind::Half => Some(Ended::HalfFrame),
            Kind::EarlyEof if self.stage == Stage::Answering => Some(Ended::HalfFrame),
            Kind::EarlyEof => Some(Ended::EarlyEof),
            Kind::Chatter | Kind::Flood => None,
        }
    }

    /// The outcome. A worker that never greets is unavailable, unless it used up its time or memory.
    pub(crate) fn outcome(&self) -> Outcome {
        match self.ended() {
            None => Outcome::Completed,
            Some(Ended::Deadline) => Outcome::TimedOut,
            Some(Ended::OutOfMemory) => Outcome::Crashed,
            Some(_) if self.stage == Stage::Greeting => Outcome::Unavailable,
            Some(_) => Outcome::Crashed,
        }
    }

    /// How the next network ends on a kept worker: it does not pay for a worker that died before.
    pub(crate) fn second_outcome(&self) -> Outcome {
        match self.kind {
            Kind::Hang | Kind::Busy | Kind::Stopped | Kind::Deaf | Kind::Stuck => Outcome::TimedOut,
            _ => Outcome::Completed,
        }
    }

    /// Whether the worker had left its last operator and was in the middle of a message.
    pub(crate) fn after_last(&self) -> bool {
        let inside = self.stage == Stage::Answering && self.kind != Kind::Huge;
        self.ended().is_some() && (inside || self.kind == Kind::Half)
    }

    /// Whether the first run of a walk finished, so its findings are reported.
    pub(crate) fn finds(&self) -> bool {
        self.ended().is_none() || self.stage >= Stage::Later
    }

    /// The words that the sentence must also contain.
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
