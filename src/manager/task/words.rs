//! Last words: of a proc whose standard error is read here, the end waits for what is on its way, and not for long.

use tokio::time::timeout;

use super::Task;
use crate::journal::StdStream;
use crate::launcher::{Fact, RunKey};
use crate::manager::cut;
use crate::manager::message::Outcome;
use crate::spec::defaults;

impl Task {
    /// Takes a fact now, or with those before it when the last words are there.
    pub(super) fn on_fact(&mut self, fact: Fact) {
        let Some(entry) = self.entries.get_mut(&fact.key) else { return };
        if let Some(held) = &mut entry.held_back {
            return held.push(fact);
        }
        let pump = entry.output.get().and_then(|output| output.pump(StdStream::Stderr));
        let Some(pump) =
            pump.filter(|_| !entry.is_over() && entry.machine.would_end(fact.event.clone(), fact.at))
        else {
            return self.take_fact(fact);
        };
        let (key, outcomes) = (fact.key, self.outcomes.0.clone());
        let (run, restarted) = (entry.machine.run(), entry.machine.restarts() > 0);
        entry.held_back = Some(vec![fact]);
        tokio::spawn(async move {
            let _ = timeout(defaults::TAIL_DRAIN, pump.read_up()).await;
            // Of a run before it nothing is its own.
            let lines = pump.tail().into_iter().filter(|line| !restarted || line.run == run);
            let tail = lines.map(|line| cut::text(&line.bytes)).collect();
            let _ = outcomes.send(Outcome::LastWords { key, tail });
        });
    }

    /// Takes what is known of ends without waiting for last words.
    pub(super) fn take_held_back(&mut self) {
        let waiting = self.entries.iter().filter(|(_, entry)| entry.held_back.is_some());
        for key in waiting.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.on_last_words(key, Vec::new());
        }
    }

    pub(super) fn on_last_words(&mut self, key: RunKey, tail: Vec<String>) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.machine.last_words(tail);
        for fact in entry.held_back.take().unwrap_or_default() {
            self.take_fact(fact);
        }
    }
}
