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
