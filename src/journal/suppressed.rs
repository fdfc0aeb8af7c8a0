//! temp
use super::{JournalError, JournalReader};
use crate::time::Timestamp;
pub(crate) async fn suppressed(
    _: &impl JournalReader,
    _: Timestamp,
    _: Option<Timestamp>,
) -> Result<Vec<(Timestamp, u64)>, JournalError> {
    Ok(Vec::new())
}
