//! The rooms keep to themselves: what `src/` refers to, held against the table in `docs/architecture.md`.
//!
//! Code that only a test build has may reach further; `unsafe` stays in its room even there.

mod source;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use source::{Reference, Source};
use table::Table;

/// Crates with a room of their own, and the only places that may name them.
const OWNED_CRATES: [(&[&str], &[&str]); 2] = [
    (&["zbus", "zbus_xml"], &["src/bus", "src/agent"]),
    (&["anyhow", "clap", "clap_complete", "clap_mangen", "comfy_table"], &["src/bin"]),
];

/// What no pure room may name: IO, clocks, threads, and the crates that bring them.
const IMPURE: [&str; 14] = [
    "std::env",
    "std::fs",
    "std::process",
    "std::thread",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::os::unix::net",
    "tokio",
    "zbus",
    "nix",
    "futures_util",
    "tracing",
    "libc",
];

/// Methods of `Path` that ask the file system.
const IMPURE_METHODS: [&str; 10] = [
    "canonicalize",
    "exists",
    "is_dir",
    "is_file",
    "is_symlink",
    "metadata",
    "read_dir",
    "read_link",
    "symlink_metadata",
    "try_exists",
];

/// `ProcSpec::current` reads this program's own path and arguments.
const READS_THIS_PROCESS: &str = "src/spec/current.rs";

/// Breaches of the rules in these files: path from the checkout, text.
fn breaches(table: &Table, files: &BTreeMap<String, String>) -> Vec<String> {
    let sources: Vec<(&String, Vec<String>, Source)> = files
        .iter()
        .map(|(file, text)| {
            let module = module_of(file);
            let source = source::read(&module, text);
            (file, module, source)
        })
        .collect();
    let tests: Vec<&Vec<String>> = sources.iter().flat_map(|(_, _, source)| &source.test_modules).collect();
    let mut found = Vec::new();
    for (file, module, source) in &sources {
        let test_file = tests.iter().any(|test| module.starts_with(test));
        for reference in &source.references {
            let in_test = test_file || reference.in_test;
            let why = why_not(table, file, module, reference, in_test);
            found.extend(why.map(|why| format!("{file}:{}: {why}", reference.line)));
        }
    }
    found.dedup();
    found
}

fn why_not(
    table: &Table,
    file: &str,
    module: &[String],
    reference: &Reference,
    in_test: bool,
) -> Option<String> {
    let path: Vec<&str> = reference.path.iter().map(String::as_str).collect();
    if path == ["unsafe"] {
        return (!lies_in(file, "src/sys")).then(|| "`unsafe` is for `sys` alone".to_owned());
    }
    if in_test {
        return None;
    }
    owned_elsewhere(file, &path).or_else(|| {
        // The command and the root of the library are no rooms.
        let room = module.first().filter(|_| !lies_in(file, "src/bin"))?;
        let pure = table.pure.contains(room) && file != READS_THIS_PROCESS;
        pure.then(|| impure(&path))
            .flatten()
            .map(|what| format!("`{room}` is pure and may not use {what}"))
            .or_else(|| match reference.path.split_first() {
                Some((first, rest)) if first == "crate" => table.refusal(room, rest),
                _ => None,
            })
    })
}

fn owned_elsewhere(file: &str, path: &[&str]) -> Option<String> {
    OWNED_CRATES.iter().find_map(|(crates, homes)| {
        let owned = crates.contains(&path[0]) && !homes.iter().any(|home| lies_in(file, home));
        owned.then(|| format!("`{}` is for {} alone", path[0], homes.join(" and ")))
    })
}

fn impure(path: &[&str]) -> Option<String> {
    match path {
        [".", method] => {
            IMPURE_METHODS.contains(method).then(|| format!("`.{method}()`, which asks the system"))
        }
        [.., _, "now"] => Some(format!("`{}`: time comes in as an argument", path.join("::"))),
        _ => {
            let starts =
                |what: &&str| what.split("::").zip(path).all(|(a, b)| a == *b) && reaches(what, path);
            IMPURE.into_iter().find(starts).map(|what| format!("`{what}`"))
        }
    }
}

fn reaches(what: &str, path: &[&str]) -> bool {
    what.split("::").count() <= path.len()
}

fn lies_in(file: &str, place: &str) -> bool {
    file.strip_prefix(place).is_some_and(|rest| rest.starts_with('/') || rest.starts_with('.'))
}

/// `src/unit/plan.rs` is the module `unit::plan`.
fn module_of(file: &str) -> Vec<String> {
    let inner = file.trim_start_matches("src/").trim_start_matches("bin/procunit/").trim_end_matches(".rs");
    let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn the_table() -> Table {
    Table::parse(&read(&checkout("docs/architecture.md")))
}

/// Every source file by its path from the checkout.
fn the_files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut directories = vec![checkout("src")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory of src/") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(checkout("")).expect("below the checkout").display().to_string();
                files.insert(name, read(&path));
            }
        }
    }
    files
}

#[test]
fn every_room_uses_only_what_the_architecture_page_lets_it_use() {
    let found = breaches(&the_table(), &the_files());
    assert!(found.is_empty(), "\n{}\nThe table is in docs/architecture.md.", found.join("\n"));
}

#[test]
fn every_room_is_on_the_architecture_page_and_its_rules_name_rooms() {
    let table = the_table();
    for file in the_files().keys().filter(|file| !lies_in(file, "src/bin")) {
        if let Some(room) = module_of(file).first() {
            assert!(table.rooms.contains_key(room), "{file}: `{room}` has no row in docs/architecture.md");
        }
    }
    for (room, row) in &table.rooms {
        for rule in row.may_use.iter().chain(&row.may_not_use) {
            assert!(table.rooms.contains_key(&rule[0]), "`{room}`: `{}` is not a room", rule.join("::"));
        }
    }
    for room in table.pure.iter().chain(&table.leaves) {
        assert!(table.rooms.contains_key(room), "`{room}` has no row");
    }
}

/// What the command sees of the library is what every program sees: it is a crate of its own, and takes no file in.
#[test]
fn the_command_takes_in_no_file_of_the_library() {
    for (file, text) in the_files().iter().filter(|(file, _)| lies_in(file, "src/bin")) {
        for (index, line) in text.lines().enumerate() {
            let takes = line.contains("#[path") || (line.contains("include!(") && line.contains(".."));
            assert!(!takes, "{file}:{}: {line}", index + 1);
        }
    }
}

mod the_checker {
    use super::*;

    fn told(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        breaches(&the_table(), &files)
    }

    #[test]
    fn finds_a_forbidden_room_however_it_is_written() {
        let snippets = [
            "use crate::bus::Connection;",
            "use crate::bus;",
            "pub(crate) use crate::{id::ProcId, bus::{self, Connection}};",
            "use crate::{\n    id::ProcId,\n    bus as b,\n};",
            "fn f() -> crate::bus::Connection { todo!() }",
            "fn f() { let x = <T as crate::bus::Trait>::new(); }",
            "use super::super::bus::Connection;",
            "mod inner { use super::super::super::bus::Connection; }",
            "fn f<'a>(x: &'a str) { crate::bus::open(x) }",
            "fn f() { let q = '\"'; crate::bus::open() }",
            "fn f() { let b = b'\\''; crate::bus::open(r#\"\"\"#) }",
            "/* a /* nested */ comment */ use crate::bus::X;",
            "#[cfg(not(test))] use crate::bus::X;",
            "#[cfg(test)] mod tests { } use crate::bus::X;",
            "#[cfg(test)] use crate::id::ProcId; use crate::bus::X;",
            "macro_rules! m { () => { $crate::bus::open() } }",
            "fn f() -> impl Send + use<> { crate::bus::open() }",
        ];
        for snippet in snippets {
            let found = told(&[("src/unit/plan.rs", snippet)]);
            assert!(
                found.iter().any(|line| line.contains("`unit` may not use `bus")),
                "{snippet}\n{found:?}"
            );
        }
    }

    #[test]
    fn names_the_file_the_line_and_the_room() {
        let found = told(&[("src/unit/plan.rs", "//! Words.\n\nuse crate::manager::Handle;\n")]);
        assert_eq!(found, ["src/unit/plan.rs:3: `unit` may not use `manager::Handle`"]);
    }

    #[test]
    fn finds_what_a_room_keeps_back_behind_a_module_or_a_glob() {
        for snippet in [
            "use crate::status::ProcStatus;",
            "use crate::status::*;",
            "use crate::status; fn f(s: status::ProcStatus) {}",
            "use crate::status as st; fn f(s: st::ProcStatus) {}",
            "use crate::status::machine; fn f(m: machine::Machine) {}",
        ] {
            let found = told(&[("src/launcher/native.rs", snippet)]);
            assert!(found.iter().any(|line| line.contains("`launcher` may not use")), "{snippet}\n{found:?}");
        }
        assert_eq!(
            told(&[("src/bus/mod.rs", "use crate::unit;")]),
            ["src/bus/mod.rs:1: `bus` may not use `unit`"]
        );
    }

    #[test]
    fn refuses_the_whole_crate_and_what_only_its_root_names() {
        for snippet in ["use crate::*;", "use super::*;", "use crate as all;"] {
            let found = told(&[("src/unit/mod.rs", snippet)]);
            assert_eq!(found, ["src/unit/mod.rs:1: `unit` refers to the whole crate"], "{snippet}");
        }
        let found = told(&[("src/report/mod.rs", "use crate::ProcManager;")]);
        assert!(found[0].contains("`ProcManager` is not a room"), "{found:?}");
    }

    #[test]
    fn finds_io_clocks_and_runtimes_in_pure_rooms() {
        let snippets = [
            "use std::env;",
            "use std::{fmt, fs::File};",
            "fn f() { std::env::var(\"X\"); }",
            "use std as s; fn f() { s::fs::read(\"x\"); }",
            "use std::time::SystemTime; fn f() { SystemTime::now(); }",
            "fn f() { ::std::time::Instant::now(); }",
            "fn f() { jiff::Timestamp::now(); }",
            "use tokio::sync::watch;",
            "#[tokio::main] async fn f() {}",
            "use nix;",
            "fn f(p: &Path) -> bool { p.exists() }",
        ];
        for room in ["src/id/x.rs", "src/spec/x.rs", "src/unit/x.rs", "src/status/x.rs", "src/time.rs"] {
            for snippet in snippets {
                let found = told(&[(room, snippet)]);
                assert!(
                    found.iter().any(|line| line.contains("is pure and may not use")),
                    "{snippet}\n{found:?}"
                );
            }
        }
    }

    #[test]
    fn lets_the_spec_of_this_very_program_read_it_and_no_other_file() {
        let text = "fn f() { std::env::current_exe(); }";
        assert_eq!(told(&[("src/spec/current.rs", text)]), [""; 0]);
        assert_eq!(told(&[("src/spec/builder.rs", text)]).len(), 1);
        assert_eq!(told(&[("src/spec/current.rs", "use crate::bus::X;")]).len(), 1);
    }

    #[test]
    fn keeps_unsafe_and_crates_in_their_rooms() {
        let unsafe_block = "#[cfg(test)] mod tests { fn f() { unsafe { g() } } }";
        assert_eq!(
            told(&[("src/launcher/native.rs", unsafe_block)]),
            ["src/launcher/native.rs:1: `unsafe` is for `sys` alone"]
        );
        assert_eq!(told(&[("src/sys/pidfd.rs", unsafe_block)]), [""; 0]);
        assert_eq!(told(&[("src/launcher/systemd.rs", "use zbus::Connection;")]).len(), 1);
        assert_eq!(told(&[("src/bin/procunit/run.rs", "use zbus::Connection;")]).len(), 1);
        assert_eq!(told(&[("src/bus/mod.rs", "use zbus::Connection;")]), [""; 0]);
        assert_eq!(told(&[("src/manager/mod.rs", "use anyhow::Context as _;")]).len(), 1);
    }

    #[test]
    fn passes_what_the_table_allows() {
        for (file, text) in [
            ("src/unit/plan.rs", "use crate::spec::ProcSpec; use crate::{id::ProcId, signal::Signal};"),
            (
                "src/unit/plan.rs",
                "// use crate::bus::X;\n/// [`crate::bus::X`]\nconst A: &str = \"crate::bus::X\";",
            ),
            (
                "src/unit/plan.rs",
                "use super::property::Property; mod a { use super::super::property::Value; }",
            ),
            (
                "src/bus/mod.rs",
                "use crate::unit::property::{Property, Value}; use crate::status::snapshot::Snapshot;",
            ),
            ("src/launcher/mod.rs", "use crate::status::machine::Event; use crate::bus::X;"),
            ("src/status/machine.rs", "fn f(now: Timestamp) { g(now); self.now(); }"),
            ("src/status/machine.rs", "#[cfg(test)] mod tests { use std::fs; use crate::bus::X; }"),
            ("src/lib.rs", "pub use manager::ProcManager; pub use crate::bus::X;"),
            ("src/bin/procunit/main.rs", "mod run; use crate::run::Run; use procunit::id::ProcId;"),
        ] {
            assert_eq!(told(&[(file, text)]), [""; 0], "{text}");
        }
    }

    #[test]
    fn lets_files_that_only_tests_build_reach_further() {
        let tests = ("src/status/tests.rs", "use std::fs; use crate::bus::X;");
        assert_eq!(told(&[("src/status/mod.rs", "#[cfg(test)]\nmod tests;"), tests]), [""; 0]);
        assert_eq!(told(&[("src/status/mod.rs", "mod tests;"), tests]).len(), 2);
    }
}
