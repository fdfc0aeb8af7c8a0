//! Words and fields that this crate's own records and readers agree on.

/// Begins a sentinel: a line that the holder of a stream writes into it when its proc is over, so that everything before
/// it was the proc's last. A random word follows.
const SENTINEL: &str = "procunit: end of log ";
/// Letters and digits of that word.
pub(crate) const TOKEN_LEN: usize = 12;

/// The proc, in records that a manager sends for it.
pub(crate) const ID_FIELD: &str = "PROCUNIT_ID";
/// The run, in the same.
pub(crate) const RUN_FIELD: &str = "PROCUNIT_INVOCATION";
/// `stdout` or `stderr`, in the same.
pub(crate) const STREAM_FIELD: &str = "PROCUNIT_STREAM";
/// Set where the line goes on in the next record, in the same.
pub(crate) const CONTINUES_FIELD: &str = "PROCUNIT_CONTINUES";

/// The sentinel with this word.
pub(crate) fn sentinel(token: &str) -> String {
    format!("{SENTINEL}{token}")
}

/// The word of a message that is a sentinel.
pub(crate) fn token_of(message: &[u8]) -> Option<&str> {
    let token = std::str::from_utf8(message).ok()?.strip_prefix(SENTINEL)?;
    let is_token = token.len() == TOKEN_LEN && token.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_token.then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentinel_is_known_by_its_words_and_nothing_near_it_is() {
        let token = "0123456789ab";
        let whole = sentinel(token);
        assert_eq!(token_of(whole.as_bytes()), Some(token));
        for other in [&whole[1..], &whole[..whole.len() - 1], &format!("{whole}0"), &format!("{whole}\n"), ""]
        {
            assert_eq!(token_of(other.as_bytes()), None, "{other}");
        }
    }
}
