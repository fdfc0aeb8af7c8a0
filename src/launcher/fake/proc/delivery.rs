//! Signals on their way to a fake proc: whether they get there, and what they do.

use super::{FakeProc, Life};
use crate::launcher::fake::hub;
use crate::launcher::fake::picture;
use crate::launcher::fake::record::What;
use crate::launcher::fake::script::{Effect, Reaction, When};
use crate::launcher::{DeliverError, Target};
use crate::signal::Signal;
use crate::status::exit::Exit;

/// A delivery, as far as a process can tell.
#[derive(Debug, Clone, Copy)]
struct Hit {
    signal: Signal,
    to: Target,
}

impl Hit {
    /// The end of a process that does nothing about the signal; `None` where that is none (signal(7)).
    fn default_end(self) -> Option<Exit> {
        // CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH.
        let harmless = matches!(self.signal.number(), 17..=23 | 28);
        (!harmless).then_some(Exit::Signal { signal: self.signal, core_dumped: false })
    }
}

impl Life {
    /// Whether anything is there to take it.
    fn takes(&self, hit: Hit) -> bool {
        self.is_alive() || self.replaying || (hit.to == Target::Tree && !self.left.is_empty())
    }

    fn reaction(&mut self, to: What) -> Reaction {
        match to {
            What::Stop => self.script.on_stop.take(),
            What::Kill => self.script.on_kill.take(),
            _ => self.script.on_signal.take(),
        }
    }
}

impl FakeProc {
    /// Takes a delivery: what is answered, and when.
    pub(in crate::launcher::fake) fn deliver(&self, what: What) -> (Result<(), DeliverError>, When) {
        if !self.0.hub.is_connected() {
            return (Err(DeliverError::Failed(hub::no_way())), When::Now);
        }
        let hit = self.hit_by(what);
        let mut life = self.life();
        if !life.takes(hit) {
            return (Err(DeliverError::Gone), When::Now);
        }
        let reaction = life.reaction(what);
        let end = match reaction.effect {
            Effect::Undelivered(make) => return (Err(make(())), reaction.answers),
            Effect::None => None,
            Effect::Ends(exit) => Some(exit),
            Effect::Obeys => hit.default_end(),
        };
        if what == What::Stop {
            picture::stop(&mut life.picture, self.0.hub.stamp());
            self.say(&life);
        }
        drop(life);
        if let Some(exit) = end {
            self.later(reaction.after, move |proc| proc.take_effect(hit, exit));
        }
        (Ok(()), reaction.answers)
    }

    fn hit_by(&self, what: What) -> Hit {
        match what {
            What::Kill => Hit { signal: Signal::KILL, to: Target::Tree },
            What::Signal(signal, to) => Hit { signal, to },
            _ => Hit { signal: self.stop_policy().signal, to: Target::Tree },
        }
    }

    fn take_effect(&self, hit: Hit, exit: Exit) {
        match hit.to {
            Target::Tree if self.is_over() => self.leftovers_end(),
            Target::Tree if hit.signal == Signal::KILL => self.end_leaving(exit, 0),
            Target::Tree | Target::Main => self.end(exit),
        }
    }
}
