//! A unit's object path and back.
//!
//! systemd writes a name into a path label byte by byte: ASCII letters and digits stand for themselves, a digit
//! not in the first place, and every other byte becomes `_` and two lower-case hexadecimal digits; the empty
//! name is `_` (`bus_label_escape` in bus-label.c, the same from 252 to 262).

use zbus::ObjectPath;

/// Under this path every unit has its object.
pub(super) const UNITS: &str = "/org/freedesktop/systemd1/unit";

/// The object path of the unit of that name.
pub(super) fn unit_path(name: &str) -> ObjectPath<'static> {
    let mut path = String::with_capacity(UNITS.len() + 1 + 3 * name.len());
    path.push_str(UNITS);
    path.push('/');
    escape_into(&mut path, name);
    // A label has nothing but letters, digits and underscores.
    ObjectPath::from_string_unchecked(path)
}

/// The last element of a unit's object path; `None` for the path of anything else.
pub(super) fn unit_label(path: &str) -> Option<&str> {
    let label = path.strip_prefix(UNITS)?.strip_prefix('/')?;
    (!label.is_empty() && !label.contains('/')).then_some(label)
}

/// The label of the unit of that name.
pub(super) fn label(name: &str) -> String {
    let mut label = String::with_capacity(3 * name.len());
    escape_into(&mut label, name);
    label
}

fn escape_into(out: &mut String, name: &str) {
    if name.is_empty() {
        out.push('_');
    }
    for (at, byte) in name.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit()) {
            out.push(char::from(byte));
        } else {
            out.push('_');
            for nibble in [byte >> 4, byte & 0x0f] {
                out.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What systemd's `bus_label_unescape` reads.
    fn unescape(label: &str) -> Option<String> {
        let mut bytes = Vec::new();
        let mut rest = label.as_bytes();
        while let Some((&first, after)) = rest.split_first() {
            rest = match (first, after) {
                (b'_', [_, _, tail @ ..]) => {
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).ok()?, 16).ok()?);
                    tail
                }
                (b'_', []) if label.len() == 1 => &[],
                (b'_', _) => return None,
                (other, tail) => {
                    bytes.push(other);
                    tail
                }
            };
        }
        String::from_utf8(bytes).ok()
    }

    #[test]
    fn a_path_is_the_one_systemd_gives() {
        // As `busctl --user tree org.freedesktop.systemd1` shows them.
        assert_eq!(
            unit_path("procunit-shop:web:0.service").as_str(),
            "/org/freedesktop/systemd1/unit/procunit_2dshop_3aweb_3a0_2eservice"
        );
        assert_eq!(unit_path("-.slice").as_str(), "/org/freedesktop/systemd1/unit/_2d_2eslice");
        assert_eq!(label("0a"), "_30a");
        assert_eq!(label(""), "_");
    }

    #[test]
    fn only_the_path_of_a_unit_has_a_label() {
        assert_eq!(unit_label("/org/freedesktop/systemd1/unit/a_2eservice"), Some("a_2eservice"));
        for other in [
            "/org/freedesktop/systemd1",
            "/org/freedesktop/systemd1/unit",
            "/org/freedesktop/systemd1/unit/",
            "/org/freedesktop/systemd1/unit/a/b",
            "/org/freedesktop/systemd1/units/a",
        ] {
            assert_eq!(unit_label(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_read_back_from_its_path(name in ".{0,40}") {
            let path = unit_path(&name);
            prop_assert!(ObjectPath::try_from(path.as_str()).is_ok(), "{path}");
            prop_assert_eq!(unescape(unit_label(path.as_str()).unwrap()), Some(name));
        }
    }
}
