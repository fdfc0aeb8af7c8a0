//! A journal that is held in memory, for tests.

use super::error::JournalError;
use super::query::{Query, Start};
use super::record::Record;
use super::{JournalReader, Records};
use crate::time::Timestamp;

#[derive(Debug, Clone)]
pub(super) struct Held(pub(super) Vec<Record>);

#[derive(Debug)]
pub(super) struct HeldRecords(std::vec::IntoIter<Record>);

impl Records for HeldRecords {
    async fn next(&mut self) -> Result<Option<Record>, JournalError> {
        Ok(self.0.next())
    }

    fn skipped(&self) -> u64 {
        0
    }
}

impl JournalReader for Held {
    type Records = HeldRecords;

    fn open(&self, query: &Query) -> Result<HeldRecords, JournalError> {
        let mut records = self.0.clone();
        match &query.start {
            Start::Oldest => {}
            Start::Since(since) => records.retain(|record| record.at >= *since),
            Start::Newest(count) => drop(records.drain(..records.len().saturating_sub(*count))),
            Start::After(cursor) => {
                let at = records.iter().position(|record| record.cursor == *cursor).unwrap();
                records.drain(..=at);
            }
        }
        Ok(HeldRecords(records.into_iter()))
    }
}

/// A record that says nothing but when it was taken.
pub(super) fn held(at: u64) -> Record {
    Record {
        cursor: at.to_string(),
        at: Timestamp::from_micros(at),
        boot_id: None,
        message: Vec::new(),
        continues: false,
        priority: None,
        identifier: None,
        uid: None,
        pid: None,
        unit: None,
        invocation: None,
        run: None,
        started: None,
        stream_id: None,
        stream: None,
        dropped: None,
    }
}
