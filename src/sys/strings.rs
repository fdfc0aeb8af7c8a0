//! Strings as exec takes them.

use std::ffi::{CString, NulError, c_char};
use std::ptr;

/// Many strings in one place, each with a NUL behind it.
#[derive(Default)]
pub(crate) struct Strings {
    bytes: Vec<u8>,
    /// Where each begins.
    starts: Vec<usize>,
}

impl Strings {
    /// Adds the string that these parts make together.
    ///
    /// # Errors
    /// Where one of them holds a NUL byte; nothing is added then.
    pub(crate) fn push(&mut self, parts: &[&str]) -> Result<(), NulError> {
        if let Some(flawed) = parts.iter().find(|part| part.as_bytes().contains(&0)) {
            return CString::new(*flawed).map(drop);
        }
        self.starts.push(self.bytes.len());
        for part in parts {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        self.bytes.push(0);
        Ok(())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.starts.len()
    }

    /// Each, without its NUL.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.starts.iter().map(|start| {
            let rest = &self.bytes[*start..];
            &rest[..rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len())]
        })
    }

    /// Where each of several of these is, and a null pointer. They are good while none of those is changed or dropped.
    pub(super) fn pointers(all: &[&Self]) -> Vec<*const c_char> {
        let mut pointers = Vec::with_capacity(all.iter().map(|strings| strings.count()).sum::<usize>() + 1);
        for strings in all {
            pointers
                .extend(strings.starts.iter().map(|start| strings.bytes[*start..].as_ptr().cast::<c_char>()));
        }
        pointers.push(ptr::null());
        pointers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_and_strings_kept_apart() {
        let mut strings = Strings::default();
        strings.push(&["A", "=", "b"]).unwrap();
        strings.push(&[""]).unwrap();
        assert!(strings.push(&["c", "d\0"]).is_err());
        assert_eq!(strings.bytes, b"A=b\0\0");
        let pointers = Strings::pointers(&[&strings]);
        let begin: *const c_char = strings.bytes.as_ptr().cast();
        assert_eq!(pointers, [begin, begin.wrapping_add(4), ptr::null()]);
    }
}
