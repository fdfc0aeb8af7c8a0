//! The status changes that are told to `tracing`.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use procunit::id::ProcId;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_global_default;
use tracing::{Event, Metadata, Subscriber};

/// The fields of an event, by name.
pub(crate) type Fields = BTreeMap<&'static str, String>;

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<Fields>>>);

impl Told {
    /// What all tests tell from now on. One subscriber for all threads: which of several a thread's is, tracing finds
    /// out when a callsite is first come to, perhaps on another thread.
    pub(crate) fn listen() -> Self {
        static TOLD: OnceLock<Told> = OnceLock::new();
        let listening = || {
            let told = Self::default();
            set_global_default(told.clone()).expect("there is no other");
            told
        };
        TOLD.get_or_init(listening).clone()
    }

    /// The status changes of a proc, in order.
    pub(crate) fn about(&self, id: &ProcId) -> Vec<Fields> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|event| event["id"] == id.as_str()).cloned().collect()
    }
}

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("procunit")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Collected::default();
        event.record(&mut fields);
        if fields.0.contains_key("status") && fields.0.contains_key("id") {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(fields.0);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Collected(Fields);

impl Visit for Collected {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}
