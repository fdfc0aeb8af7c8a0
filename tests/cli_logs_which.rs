//! Which lines `procunit logs` shows: of which proc, run and stream. Against a real user manager and journal.

#![cfg(feature = "cli")]

#[expect(dead_code, reason = "it needs a part of it")]
mod support;

use support::{Cleanup, procunit, until};

fn words(id: &str) -> String {
    procunit(&["logs", "-q", "-o", "cat", id]).out()
}

fn cat(id: &str, flags: &[&str]) -> String {
    procunit(&[&["logs", "-q", "-o", "cat", id], flags].concat()).ok()
}

#[test]
fn each_stream_is_shown_by_itself() {
    let procs = Cleanup::group("logs-stream");
    let id = procs.start("x", "echo out; sleep 0.2; echo err >&2; sleep 0.2; echo '<3>still out'; sleep 60");
    until("its words", || words(&id) == "out\nerr\n<3>still out\n");
    assert_eq!(cat(&id, &["--stream", "out"]), "out\n<3>still out\n");
    assert_eq!(cat(&id, &["--stream", "err"]), "err\n");
    assert_eq!(cat(&id, &["--stream", "stderr", "-n", "5"]), "err\n");
    let told = procunit(&["logs", "-o", "json", &id]).json();
    let streams: Vec<_> = (0..3).map(|n| told["lines"][n]["stream"].as_str()).collect();
    assert_eq!(streams, [Some("stdout"), Some("stderr"), Some("stdout")]);
}

#[test]
fn lines_of_no_known_stream_are_not_hidden_without_a_word() {
    let procs = Cleanup::group("logs-untold");
    let id = procs.start("x", "echo out; exec systemd-cat -t other sh -c 'echo logged; sleep 60'");
    until("its words", || words(&id) == "out\nlogged\n");
    let ran = procunit(&["logs", "-o", "cat", "--stream", "err", &id]);
    assert_eq!((ran.code(), ran.out().as_str()), (0, ""));
    assert!(ran.err().starts_with(&format!("procunit: lines of {id} do not say to which stream")), "{ran:?}");
}

#[test]
fn lines_are_found_by_a_pattern_and_counted_after_it() {
    let procs = Cleanup::group("logs-grep");
    let id = procs.start("x", "for n in 1 2 3; do echo Error $n; echo fine $n; done; sleep 60");
    until("its words", || words(&id).ends_with("fine 3\n"));
    assert_eq!(cat(&id, &["--grep", "error [12]"]), "Error 1\nError 2\n");
    assert_eq!(cat(&id, &["--grep", "Fine"]), "");
    assert_eq!(cat(&id, &["--grep", "^fine", "-n", "2"]), "fine 2\nfine 3\n");
    let none = procunit(&["logs", "--grep", "nowhere", &id]);
    assert_eq!(none.all(), (0, String::new(), format!("procunit: none of the lines of {id} match\n")));
}

#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    let bad = procunit(&["logs", "--grep", "a(b", "x"]);
    assert_eq!(bad.code(), 2);
    assert!(bad.err().contains("    a(b\n     ^\n"), "{bad:?}");
    for args in [
        &["logs", "--stream", "in", "x"][..],
        &["logs", "--run", "first", "x"],
        &["logs", "-f", "--run", "-1", "x"],
        &["logs", "-n", "-3", "x"],
        &["logs"],
    ] {
        assert_eq!(procunit(args).code(), 2, "{args:?}");
    }
}

#[test]
fn lines_of_several_procs_come_in_the_order_of_time_with_their_names() {
    let procs = Cleanup::group("logs-order");
    let dir = tempfile::tempdir().expect("a directory");
    let turn = |number: u32| dir.path().join(number.to_string()).display().to_string();
    let wait = |number| format!("while [ ! -e {} ]; do sleep 0.02; done", turn(number));
    procs.start("a", &format!("echo 1; touch {}; {}; echo 3; touch {}; sleep 60", turn(1), wait(2), turn(3)));
    procs.start("longer", &format!("{}; echo 2; touch {}; {}; echo 4; sleep 60", wait(1), turn(2), wait(3)));
    until("all words", || words(&procs.all()).lines().count() == 4);
    assert_eq!(words(&procs.all()), "1\n2\n3\n4\n");
    let (a, longer) = (procs.id("a"), procs.id("longer"));
    let pad = " ".repeat(longer.len() - a.len());
    let named = format!("{a}{pad} | 1\n{longer} | 2\n{a}{pad} | 3\n{longer} | 4\n");
    assert_eq!(procunit(&["logs", &procs.all()]).all(), (0, named, String::new()));
    assert_eq!(procunit(&["logs", "--no-prefix", &procs.all()]).ok(), "1\n2\n3\n4\n");
    assert_eq!(procunit(&["logs", "-n", "2", "--no-prefix", &procs.all()]).ok(), "3\n4\n");
    let coloured = procunit(&["logs", "--color", "always", "-n", "1", &procs.all()]).ok();
    assert!(coloured.starts_with("\u{1b}[") && coloured.ends_with("|\u{1b}[0m 4\n"), "{coloured:?}");
}

#[test]
fn a_proc_that_is_gone_still_has_its_lines() {
    let procs = Cleanup::group("logs-gone");
    let id = procs.start_to_end("x", "echo last words");
    until("its words", || words(&id) == "last words\n");
    procunit(&["rm", &id]).ok();
    let ran = procunit(&["logs", "-o", "cat", &id]);
    assert_eq!((ran.code(), ran.out().as_str()), (0, "last words\n"), "{ran:?}");
    assert!(ran.err().starts_with(&format!("procunit: {id} is gone; ")), "{ran:?}");
    assert_eq!(
        procunit(&["logs", "-q", "-f", "-o", "cat", &id]).all(),
        (0, "last words\n".into(), String::new())
    );
    assert_eq!(procunit(&["logs", &format!("{id}-never")]).code(), 4);
    assert_eq!(procunit(&["logs", &format!("{id}*")]).code(), 4, "a pattern means what is there");
}

#[test]
fn earlier_runs_are_counted_from_both_ends() {
    let procs = Cleanup::group("logs-run");
    for n in 1..=3 {
        let id = procs.start_with("x", &["--replace"], &format!("echo run {n}; sleep 0.3; echo err {n} >&2"));
        until("its words", || words(&id) == format!("run {n}\nerr {n}\n"));
        until("its end", || procs.report("x")["ended_at"].is_string());
    }
    let id = procs.id("x");
    let shown = |run: &str| cat(&id, &["--run", run]);
    assert_eq!(["0", "-1", "-2"].map(shown), ["run 3\nerr 3\n", "run 2\nerr 2\n", "run 1\nerr 1\n"]);
    assert_eq!(["1", "2", "3"].map(shown), ["run 1\nerr 1\n", "run 2\nerr 2\n", "run 3\nerr 3\n"]);
    let none = procunit(&["logs", "--run", "-3", &id]);
    assert_eq!((none.code(), none.out().as_str()), (4, ""));
    assert!(none.err().starts_with(&format!("procunit: {id}: no run -3; the journal has 3 ")), "{none:?}");
    procunit(&["rm", &id]).ok();
    assert_eq!(
        ["0", "-1", "1"].map(shown),
        ["run 3\nerr 3\n", "run 2\nerr 2\n", "run 1\nerr 1\n"],
        "once it is gone"
    );
}

#[test]
fn runs_of_a_restart_policy_are_told_apart_and_followed_as_one() {
    let procs = Cleanup::group("logs-restart");
    let dir = tempfile::tempdir().expect("a directory");
    let count = dir.path().join("count").display().to_string();
    let script = dir.path().join("script").display().to_string();
    let words_of_one = format!(
        "sleep 0.3; n=$(($(cat {count} 2>/dev/null || echo 0) + 1)); echo $n > {count}; echo run $n; [ $n = 3 ]"
    );
    std::fs::write(&script, words_of_one).expect("the script");
    let id = procs.id("x");
    // A stream of its own for each run, whatever a restart leaves of the one it was started with.
    let mut args =
        vec!["run", "-q", "-d", "-n", &id, "--restart", "on-failure", "--restart-delay", "300ms", "--"];
    args.extend(["systemd-cat", "-t", &id, "sh", &script]);
    procunit(&args).ok();
    let followed = procunit(&["logs", "-f", "-o", "cat", &id]);
    assert_eq!((followed.code(), followed.out().as_str()), (0, "run 1\nrun 2\nrun 3\n"), "{followed:?}");
    assert_eq!(words(&id), "run 3\n", "what ps shows");
    assert_eq!(cat(&id, &["--run", "-1"]), "run 2\n");
    assert_eq!(cat(&id, &["--run", "1"]), "run 1\n");
}
