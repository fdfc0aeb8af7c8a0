//! Short random words for names.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A word of `len` letters and digits that no other call of any process is likely to give; at most 12.
///
/// The standard library seeds its hash maps from the kernel's random bytes, and each `RandomState` differs from
/// the one before: 64 bits, good for names and for nothing secret.
pub fn token(len: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bits = RandomState::new().build_hasher().finish();
    let word = std::iter::repeat_with(|| {
        let letter = ALPHABET[(bits % 32) as usize];
        bits /= 32;
        char::from(letter)
    });
    word.take(len.min(12)).collect()
}

/// A random id of 128 bits, with the marks of a version 4 UUID, as sd_id128_randomize(3) makes them.
///
/// From the same source as [`token`].
#[cfg(feature = "native")]
pub(crate) fn random_id() -> [u8; 16] {
    let half = || RandomState::new().build_hasher().finish();
    let mut id = (u128::from(half()) << 64 | u128::from(half())).to_be_bytes();
    id[6] = (id[6] & 0x0F) | 0x40;
    id[8] = (id[8] & 0x3F) | 0x80;
    id
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tokens_do_not_repeat_and_are_letters_and_digits() {
        let tokens: HashSet<_> = (0..10_000).map(|_| token(12)).collect();
        assert_eq!(tokens.len(), 10_000);
        assert!(tokens.iter().all(|token| token.bytes().all(|byte| byte.is_ascii_alphanumeric())));
    }
}
