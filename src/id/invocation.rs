//! One run of one unit.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// systemd's id of one run of a unit: 128 bits, never all zero, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InvocationId(u128);

/// Text that is not an invocation id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an invocation id (32 hexadecimal digits, not all of them 0)")]
pub struct BadInvocationId(String);

impl InvocationId {
    /// From the bytes of the `InvocationID` property; `None` for the empty array or all zeros, which say that
    /// the unit has none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let id = u128::from_be_bytes(bytes.try_into().ok()?);
        (id != 0).then_some(Self(id))
    }
}

impl FromStr for InvocationId {
    type Err = BadInvocationId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadInvocationId(text.to_owned());
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad());
        }
        match u128::from_str_radix(text, 16) {
            Ok(id) if id != 0 => Ok(Self(id)),
            _ => Err(bad()),
        }
    }
}

impl TryFrom<String> for InvocationId {
    type Error = BadInvocationId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<InvocationId> for String {
    fn from(id: InvocationId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for InvocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for InvocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_bytes_and_all_zeros_say_that_there_is_none() {
        assert_eq!(InvocationId::from_bytes(&[]), None);
        assert_eq!(InvocationId::from_bytes(&[0; 16]), None);
        assert_eq!(InvocationId::from_bytes(&[1; 15]), None, "too short");
        assert!("0".repeat(32).parse::<InvocationId>().is_err());
    }

    #[test]
    fn bytes_are_written_as_systemd_writes_them() {
        let id = InvocationId::from_bytes(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]).unwrap();
        assert_eq!(id.to_string(), "000102030405060708090a0b0c0d0eff");
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
    }

    #[test]
    fn text_that_is_no_invocation_id_is_refused_by_name() {
        for text in ["", "12", "+00102030405060708090a0b0c0d0eff", "000102030405060708090a0b0c0d0efg"] {
            let refused = text.parse::<InvocationId>().unwrap_err().to_string();
            assert!(refused.starts_with(&format!("{text:?} is not")), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn an_invocation_id_reads_back_from_text_and_json(bytes in any::<[u8; 16]>()) {
            prop_assume!(bytes != [0; 16]);
            let id = InvocationId::from_bytes(&bytes).unwrap();
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<InvocationId>(&json).unwrap(), id);
        }
    }
}
