//! Which properties a service has, and of which D-Bus type: the manager's own word for it.

use std::collections::BTreeMap;

use super::decode::{SERVICE, UNIT};
use super::error::BusError;

/// The D-Bus signature of each property, by name.
pub type Signatures = BTreeMap<String, String>;

/// Of the two interfaces of a service unit that a transient unit's properties belong to.
pub(super) fn of_service(xml: &str) -> Result<Signatures, BusError> {
    let unreadable = |error: zbus_xml::Error| BusError::Protocol {
        call: "Introspect",
        source: zbus::Error::Failure(error.to_string()).into(),
    };
    let node = zbus_xml::Node::try_from(xml).map_err(unreadable)?;
    let wanted = node.interfaces().iter().filter(|one| [UNIT, SERVICE].contains(&one.name().as_str()));
    let properties = wanted.flat_map(zbus_xml::Interface::properties);
    Ok(properties.map(|one| (one.name().to_string(), one.ty().to_string())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_of_both_interfaces_are_read_and_no_others() {
        let xml = r#"<node>
            <interface name="org.freedesktop.DBus.Peer"><property name="X" type="s" access="read"/></interface>
            <interface name="org.freedesktop.systemd1.Unit">
                <property name="BindsTo" type="as" access="read"/>
                <method name="Ref"/>
            </interface>
            <interface name="org.freedesktop.systemd1.Service">
                <property name="ExecStart" type="a(sasbttttuii)" access="read"/>
            </interface>
        </node>"#;
        let found = of_service(xml).unwrap();
        let found: Vec<_> =
            found.iter().map(|(name, signature)| (name.as_str(), signature.as_str())).collect();
        assert_eq!(found, [("BindsTo", "as"), ("ExecStart", "a(sasbttttuii)")]);
    }

    #[test]
    fn an_answer_that_is_no_introspection_is_an_error() {
        assert!(matches!(of_service("<nod"), Err(BusError::Protocol { call: "Introspect", .. })));
    }
}
