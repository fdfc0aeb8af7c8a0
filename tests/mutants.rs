//! The patches of tests/mutants still fit the sources, and name tests that are there: `contrib/mutants` breaks the code
//! with them, one at a time, which takes too long for every change. No user manager is needed.

use std::fs;
use std::path::{Path, PathBuf};

struct Mutant {
    name: String,
    patch: String,
}

impl Mutant {
    fn all() -> Vec<Self> {
        let files = fs::read_dir(from_root("tests/mutants")).expect("patches");
        let paths = files.map(|file| file.expect("an entry").path());
        let paths = paths.filter(|path| path.extension().is_some_and(|end| end == "patch"));
        let read = |path: PathBuf| Self { name: path.display().to_string(), patch: read(&path) };
        paths.map(read).collect()
    }

    /// Each change: the file, and the lines as they were.
    fn hunks(&self) -> Vec<(PathBuf, String)> {
        let (mut file, mut hunks) = (None, Vec::<(PathBuf, String)>::new());
        for line in self.patch.lines() {
            if let Some(path) = line.strip_prefix("--- a/") {
                file = Some(from_root(path));
            } else if line.starts_with("@@ ") {
                hunks.push((file.clone().expect("a file before its changes"), String::new()));
            } else if let (Some((_, before)), Some(was)) = (hunks.last_mut(), line.strip_prefix([' ', '-'])) {
                before.push_str(was);
                before.push('\n');
            }
        }
        hunks
    }

    /// `BINARY::MODULES::TEST`, as `contrib/mutants` runs them.
    fn seen_by(&self) -> Vec<&str> {
        let named = self.patch.lines().find_map(|line| line.strip_prefix("Seen by: "));
        named.map(|tests| tests.split(' ').collect()).unwrap_or_default()
    }
}

/// Where the function of such a test is written; the suite's are called in a module for each backend.
fn source_of(test: &str) -> Option<(PathBuf, &str)> {
    let parts: Vec<_> = test.split("::").collect();
    match parts[..] {
        ["conformance", room, _backend, name] => {
            Some((from_root(&format!("tests/conformance/{room}.rs")), name))
        }
        [binary, name] => Some((from_root(&format!("tests/{binary}.rs")), name)),
        _ => None,
    }
}

fn from_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_mutant_fits_the_sources_in_one_place() {
    let mutants = Mutant::all();
    assert_eq!(mutants.len(), 8, "the mutants are read");
    for mutant in mutants {
        let hunks = mutant.hunks();
        assert!(!hunks.is_empty(), "{} changes nothing", mutant.name);
        for (file, before) in hunks {
            let places = read(&file).matches(&before).count();
            assert_eq!(places, 1, "{}: places in {} of:\n{before}", mutant.name, file.display());
        }
    }
}

#[test]
fn every_mutant_says_what_it_breaks_and_is_seen_by_tests_that_are_there() {
    for mutant in Mutant::all() {
        let says = mutant.patch.lines().next().is_some_and(|line| line.ends_with('.'));
        assert!(says, "{} says nothing of itself", mutant.name);
        let tests = mutant.seen_by();
        assert!(!tests.is_empty(), "{}: seen by nobody", mutant.name);
        for test in tests {
            let source = source_of(test);
            let is_there = source.is_some_and(|(file, name)| read(&file).contains(&format!("fn {name}(")));
            assert!(is_there, "{}: there is no {test}", mutant.name);
        }
    }
}
