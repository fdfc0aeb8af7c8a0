//! `procunit doctor`, against a real user manager.

#![cfg(feature = "cli")]

#[expect(dead_code, reason = "it needs a part of it")]
mod support;

use support::{manager, procunit};

/// An interface: a change here breaks somebody's script, and is version 2.
#[test]
fn json_is_one_line_and_lists_what_is_several() {
    manager();
    let ran = procunit(&["doctor", "-o", "json"]);
    assert_eq!(ran.ok().lines().count(), 1, "{ran:?}");
    let told = ran.json();
    assert_eq!((&told["version"], &told["launching_works"]), (&1.into(), &true.into()));
    let checks = told["checks"].as_array().expect("checks");
    let later = checks.iter().find(|check| check["name"] == "later systemd").expect("it");
    let lacks = later["found"].as_array().expect("a list");
    let are_single = |one: &serde_json::Value| {
        one.as_str().is_some_and(|one| !one.contains("  ") && one.contains(" has "))
    };
    assert!(lacks.iter().all(are_single), "{later}");
    let bus = checks.iter().find(|check| check["name"] == "user bus").expect("it");
    assert_eq!((&bus["verdict"], bus["found"].is_string()), (&"ok".into(), true), "{bus}");
}
