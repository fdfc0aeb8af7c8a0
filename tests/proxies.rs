//! The generated proxies are what `dbus-interfaces/` says: this regenerates them and compares.
//!
//! `UPDATE=1 cargo test --test proxies` writes them anew.

use std::path::{Path, PathBuf};

use zbus_xml::Node;
use zbus_xmlgen::CodeGenerator;

/// The interfaces that have a proxy, and its file. The others are read through `GetAll` and signals alone.
const PROXIES: [(&str, &str); 1] = [("org.freedesktop.systemd1.Manager", "src/bus/proxies/manager.rs")];

fn in_repository(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn generated(name: &str) -> String {
    let path = in_repository(format!("dbus-interfaces/{name}.xml"));
    let xml = read(&path);
    let node = Node::try_from(xml.as_str()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let interface = node.interfaces().first().expect("one interface in the file");
    assert_eq!(interface.name().as_str(), name, "{}", path.display());

    let service = "org.freedesktop.systemd1".try_into().expect("a bus name");
    let object = "/org/freedesktop/systemd1".try_into().expect("an object path");
    let code = CodeGenerator::new()
        .with_service(Some(&service))
        .with_path(Some(&object))
        .with_format(true)
        .interface_code(interface)
        .expect("code for the interface");
    format!(
        "// Generated from dbus-interfaces/{name}.xml by tests/proxies.rs; not to be edited.\n\nuse zbus::proxy;\n\n{code}"
    )
}

#[test]
fn the_proxies_are_what_the_interfaces_say() {
    for (name, file) in PROXIES {
        let path = in_repository(file);
        let wanted = generated(name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, wanted).expect("the proxy's file is writable");
            continue;
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == wanted,
            "{file} is not what {name}.xml says: run UPDATE=1 cargo test --test proxies"
        );
    }
}
