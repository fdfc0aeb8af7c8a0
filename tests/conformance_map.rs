//! docs/conformance.md names tests for every sentence of docs/contract.md, and they are there. No user manager is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Marks what the contract says of a later release: no test can be there yet.
const NOT_BUILT: &str = "not built yet";

/// The sentences of the contract in their order: id, and whether they are built.
fn sentences(contract: &str) -> Vec<(&str, bool)> {
    let sentence = |line: &str| -> Option<(usize, usize)> {
        let start = line.strip_prefix("- **").map(|_| 4)?;
        Some((start, start + line[start..].find("**")?))
    };
    let found = contract.lines().filter_map(|line| sentence(line).map(|(start, end)| (line, start, end)));
    found.map(|(line, start, end)| (&line[start..end], !line.contains(&format!("*({NOT_BUILT})*")))).collect()
}

/// The rows of the map: id, and the names of tests; none where it says that it is not built.
fn rows(map: &str) -> Vec<(&str, Vec<&str>)> {
    let table = map.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let cells = table.filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    cells.map(|(id, tests)| (id, names(tests))).collect()
}

fn names(cell: &str) -> Vec<&str> {
    if cell == NOT_BUILT {
        return Vec::new();
    }
    cell.split("<br>")
        .map(|name| name.strip_prefix('`').and_then(|name| name.strip_suffix('`')).unwrap_or(name))
        .collect()
}

/// `room::name` is one of the suite, `path.rs::name` one of that file.
fn place(name: &str) -> Option<(PathBuf, &str)> {
    let (place, test) = name.rsplit_once("::")?;
    let is_path = Path::new(place).extension().is_some_and(|end| end == "rs");
    let file =
        if is_path { place.into() } else { Path::new("tests/conformance").join(place).with_extension("rs") };
    Some((file, test))
}

/// The tests of a file: functions under a `#[test]` of any kind, and those that the suite's macros make tests of.
fn tests_in(source: &str) -> BTreeSet<&str> {
    let mut lines = source.lines().map(str::trim);
    let mut found = BTreeSet::new();
    while let Some(line) = lines.next() {
        if is_test(line) {
            found.extend(lines.by_ref().find_map(function));
        }
    }
    let lists = source.split("each_backend").skip(1).filter_map(listed);
    found.extend(lists.flat_map(|list| list.split(',').map(str::trim)));
    found
}

/// What stands in the brackets of such a macro; `rest` follows the beginning of its name.
fn listed(rest: &str) -> Option<&str> {
    let (name, list) = rest.split_once("![")?;
    let is_call = name.chars().all(|sign| sign.is_ascii_lowercase() || sign == '_');
    if is_call { list.split(']').next() } else { None }
}

fn is_test(line: &str) -> bool {
    ["#[test]", "#[tokio::test]", "#[tokio::test("].iter().any(|start| line.starts_with(start))
}

fn function(line: &str) -> Option<&str> {
    let name = line.split_once("fn ")?.1;
    Some(&name[..name.find(['(', '<'])?])
}

/// Why the two pages do not hold together; `read` gives a source file.
fn flaws(contract: &str, map: &str, read: impl Fn(&Path) -> Option<String>) -> Vec<String> {
    let (sentences, rows) = (sentences(contract), rows(map));
    let mut flaws = Vec::new();
    for (page, ids) in [
        ("contract.md", sentences.iter().map(|(id, _)| *id).collect::<Vec<_>>()),
        ("conformance.md", rows.iter().map(|(id, _)| *id).collect()),
    ] {
        let mut seen = BTreeSet::new();
        flaws.extend(ids.iter().filter(|id| !seen.insert(**id)).map(|id| format!("{page} has {id} twice")));
    }
    let built: BTreeMap<_, _> = sentences.iter().copied().collect();
    let mapped: BTreeSet<_> = rows.iter().map(|(id, _)| *id).collect();
    flaws.extend(built.keys().filter(|id| !mapped.contains(*id)).map(|id| format!("{id} has no row")));
    for (id, tests) in &rows {
        match (built.get(id), tests.is_empty()) {
            (None, _) => flaws.push(format!("{id} is no sentence of the contract")),
            (Some(true), true) => flaws.push(format!("{id} is built, and has no test")),
            (Some(false), false) => {
                flaws.push(format!("{id} has tests, and the contract says it is {NOT_BUILT}"));
            }
            (Some(_), _) => {}
        }
        flaws.extend(tests.iter().filter_map(|name| missing(name, &read)).map(|why| format!("{id}: {why}")));
    }
    flaws
}

fn missing(name: &str, read: impl Fn(&Path) -> Option<String>) -> Option<String> {
    let Some((file, test)) = place(name) else { return Some(format!("{name:?} names no test")) };
    let Some(source) = read(&file) else { return Some(format!("there is no {}", file.display())) };
    (!tests_in(&source).contains(test)).then(|| format!("{} has no test {test}", file.display()))
}

fn page(path: &str) -> String {
    fs::read_to_string(from_root(Path::new(path))).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn from_root(path: &Path) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn every_sentence_has_tests_and_every_named_test_is_there() {
    let (contract, map) = (page("docs/contract.md"), page("docs/conformance.md"));
    assert!(sentences(&contract).len() > 50, "the contract is read");
    let flaws = flaws(&contract, &map, |file| fs::read_to_string(from_root(file)).ok());
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

const CONTRACT: &str = "# A page\n\n- **A-1** One.\n- no id\n- **A-2** *(not built yet)* Two\n  lines.\n";

fn read_one(file: &Path) -> Option<String> {
    let source = "each_backend![\n    holds,\n];\n#[test]\n#[ignore]\nfn plain() {}\nfn helper() {}\n";
    (file == Path::new("tests/conformance/room.rs")).then(|| source.to_owned())
}

fn flaws_of(rows: &str) -> Vec<String> {
    flaws(CONTRACT, &format!("| sentence | tests |\n|---|---|\n{rows}"), read_one)
}

#[test]
fn a_map_that_is_whole_has_no_flaw() {
    let rows = "| A-1 | `room::holds`<br>`tests/conformance/room.rs::plain` |\n| A-2 | not built yet |\n";
    assert_eq!(flaws_of(rows), [""; 0]);
}

#[test]
fn each_flaw_is_found_and_named() {
    let rest = "| A-2 | not built yet |\n";
    for (rows, flaw) in [
        ("", "A-1 has no row"),
        ("| A-1 | not built yet |\n", "A-1 is built, and has no test"),
        ("| A-1 | `room::gone` |\n", "A-1: tests/conformance/room.rs has no test gone"),
        ("| A-1 | `room::helper` |\n", "A-1: tests/conformance/room.rs has no test helper"),
        ("| A-1 | `src/no.rs::holds` |\n", "A-1: there is no src/no.rs"),
        ("| A-1 | holds |\n", "A-1: \"holds\" names no test"),
        ("| A-1 | `room::holds` |\n| A-1 | `room::holds` |\n", "conformance.md has A-1 twice"),
        ("| A-1 | `room::holds` |\n| B-1 | `room::holds` |\n", "B-1 is no sentence of the contract"),
    ] {
        assert_eq!(flaws_of(&format!("{rows}{rest}")), [flaw]);
    }
    let early = flaws_of("| A-1 | `room::holds` |\n| A-2 | `room::holds` |\n");
    assert_eq!(early, ["A-2 has tests, and the contract says it is not built yet"]);
    let twice =
        flaws(&CONTRACT.repeat(2), "|---|\n| A-1 | `room::holds` |\n| A-2 | not built yet |\n", read_one);
    assert_eq!(twice, ["contract.md has A-1 twice", "contract.md has A-2 twice"]);
}
