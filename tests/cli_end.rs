//! `procunit stop`, `kill`, `rm` and `wait`, against a real user manager.

#![cfg(feature = "cli")]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Cleanup, is_alive, procunit, systemctl, until};

/// Ends a child of the test itself, whatever happens.
struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn in_background(args: &[&str]) -> Held {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procunit"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Held(command.spawn().expect("procunit"))
}

#[test]
fn stop_leaves_no_unit_no_process_and_no_slice_however_it_ends() {
    let procs = Cleanup::group("stop");
    // What it does when it is asked to stop, and how it then ends.
    let ways = [
        ("exit-0", "trap 'exit 0' TERM", "exited with 0", false),
        ("exit-3", "trap 'exit 3' TERM", "exited with 3", false),
        ("term", "true", "killed by SIGTERM", false),
        ("ignores", "trap '' TERM", "killed by SIGKILL", true),
    ];
    for (name, trap, end, forced) in ways {
        let script = format!("{trap}; echo up; while :; do sleep 0.05; done");
        let id = procs.start_with(name, &["--stop-timeout", "700ms"], &script);
        until("it listens", || procunit(&["logs", "-q", "-o", "cat", &id]).out() == "up\n");
        let pid = procs.report(name)["pid"].as_u64().expect("a pid");
        let slice = systemctl(&["show", "--property=Slice", "--value", &procs.unit(name)]);
        assert_eq!(slice, "app.slice\n", "one proc needs no slice of its own");

        let ran = procunit(&["stop", &id]);
        let said = ran.ok();
        assert!(said.starts_with(&format!("{id}: stopped ({end} after ")), "{ran:?}");
        assert_eq!(said.contains("it did not stop in time"), forced, "{said}");
        assert!(!is_alive(pid), "{name}: its process is left");
        procs.assert_no_unit();
    }
}

#[test]
fn stop_removes_what_is_over_and_ends_what_it_left() {
    let procs = Cleanup::group("stop-over");
    let good = procs.start_to_end("good", "exit 0");
    let bad = procs.start_to_end("bad", "exit 3");
    let left = procs.start_to_leave("left", &[], "sleep 60 &");
    for id in [good, bad, left] {
        let said = procunit(&["stop", &id]).ok();
        assert!(said.starts_with(&format!("{id}: removed (exited with ")), "{said}");
    }
    procs.assert_no_unit();
}

#[test]
fn many_are_stopped_at_once() {
    let procs = Cleanup::group("stop-many");
    for number in 0..20 {
        procs.start_with(
            &number.to_string(),
            &["--stop-timeout", "500ms"],
            "trap '' TERM; echo up; while :; do sleep 0.1; done",
        );
    }
    let up = || procunit(&["logs", "-q", "-o", "cat", &procs.all()]).out();
    until("all listen", || up().lines().count() == 20);
    let start = Instant::now();
    let ran = procunit(&["stop", "-o", "json", &procs.all()]);
    assert_eq!(ran.code(), 0, "{ran:?}");
    let told = ran.json();
    let results = told["results"].as_array().expect("results");
    assert_eq!((told["version"].as_i64(), results.len()), (Some(1), 20));
    for result in results {
        assert_eq!(result["done"], "stopped");
        assert_eq!(result["error"], serde_json::Value::Null);
        assert_eq!(result["report"]["escalated"], true, "{result}");
        assert_eq!(result["report"]["ended_by"], serde_json::json!({"who": "procunit", "reason": "stop"}));
    }
    // One after the other would take ten seconds.
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    procs.assert_no_unit();
}

#[test]
fn stop_takes_a_timeout_of_its_own() {
    let procs = Cleanup::group("stop-t");
    let id = procs.start("slow", "trap '' TERM; echo up; while :; do sleep 0.05; done");
    until("it listens", || procunit(&["logs", "-q", "-o", "cat", &id]).out() == "up\n");
    let start = Instant::now();
    assert!(procunit(&["stop", "-t", "200ms", &id]).ok().contains("SIGKILL"));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn kill_ends_the_whole_tree_and_leaves_the_end_to_be_read() {
    let procs = Cleanup::group("kill");
    let id = procs.start("tree", "trap '' TERM; (trap '' TERM; sleep 60) & echo $!; sleep 60");
    until("its child", || !procunit(&["logs", "-q", "-o", "cat", &id]).out().is_empty());
    let child: u64 = procunit(&["logs", "-o", "cat", &id]).ok().trim().parse().expect("a pid");
    assert!(is_alive(child));
    let said = procunit(&["kill", &id]).ok();
    assert!(said.starts_with(&format!("{id}: killed by SIGKILL after ")), "{said}");
    assert!(!is_alive(child), "a child is left");
    let status = serde_json::json!({"state": "killed", "signal": 9, "core_dumped": false});
    assert_eq!(procs.report("tree")["status"], status);
    let again = procunit(&["kill", &id]).ok();
    assert!(again.starts_with(&format!("{id}: over already (killed by SIGKILL after ")), "{again}");
}

#[test]
fn another_signal_is_only_sent() {
    let procs = Cleanup::group("kill-usr1");
    let id = procs.start("x", "trap 'echo caught' USR1; echo up; while :; do sleep 0.05; done");
    let words = || procunit(&["logs", "-q", "-o", "cat", &id]).out();
    until("it listens", || words() == "up\n");
    assert_eq!(procunit(&["kill", "-s", "usr1", &id]).ok(), format!("{id}: SIGUSR1 sent\n"));
    until("it was caught", || words().contains("caught\n"));
    assert_eq!(procs.report("x")["status"]["state"], "running");
    let over = procs.start_to_end("over", "exit 0");
    let ran = procunit(&["kill", "-s", "HUP", &over]);
    let told = format!("procunit: {over}: it is over (exited with 0); SIGHUP was not sent\n");
    assert_eq!(ran.all(), (1, String::new(), told));
}

#[test]
fn rm_refuses_what_is_running_and_removes_the_rest() {
    let procs = Cleanup::group("rm");
    let up = procs.start("up", "sleep 60");
    let over = procs.start_to_end("over", "exit 3");
    let ran = procunit(&["rm", &procs.all()]);
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(ran.out().starts_with(&format!("{over}: removed (exited with 3 after ")), "{ran:?}");
    assert_eq!(ran.err(), format!("procunit: {up}: it is running; `procunit stop` it, or rm -f\n"));
    assert!(procs.report("over").is_null());
    let told = procunit(&["rm", "-f", "-o", "jsonl", &up]).json();
    assert_eq!((&told["done"], &told["id"]), (&"removed".into(), &up.as_str().into()));
    assert_eq!(told["report"]["status"]["signal"], 9);
    procs.assert_no_unit();
}

#[test]
fn the_name_is_free_after_stop_and_after_rm() {
    let procs = Cleanup::group("again");
    let id = procs.start("x", "sleep 60");
    let taken = procunit(&["run", "-d", "-n", &id, "--", "true"]);
    assert_eq!((taken.code(), taken.out()), (125, String::new()), "{taken:?}");
    procunit(&["stop", &id]).ok();
    procs.start_to_end("x", "exit 1");
    procunit(&["rm", &id]).ok();
    procs.start("x", "sleep 60");
}

#[test]
fn wait_passes_the_exit_on() {
    let procs = Cleanup::group("wait");
    let ends = [
        ("zero", "exit 0", 0),
        ("seven", "exit 7", 7),
        ("max", "exit 255", 255),
        ("term", "kill -TERM $$", 143),
        ("segv", "kill -SEGV $$", 139),
    ];
    for (name, script, code) in ends {
        // While it runs, and when it is over: the same.
        let id = procs.start(name, &format!("sleep 0.2; {script}"));
        assert_eq!(procunit(&["wait", &id]).code(), code, "{name}");
        assert_eq!(procunit(&["wait", &id]).code(), code, "{name}, over");
    }
}

#[test]
fn wait_tells_how_it_ended_unless_it_went_well() {
    let procs = Cleanup::group("wait-told");
    let good = procs.start("good", "exit 0");
    assert_eq!(procunit(&["wait", &good]).all(), (0, String::new(), String::new()));
    let bad = procs.start("bad", "exit 7");
    let ran = procunit(&["wait", &bad]);
    assert!(ran.err().starts_with(&format!("procunit: {bad}: exited with 7 after ")), "{ran:?}");
    assert!(ran.err().ends_with(&format!("; `procunit logs {bad}` shows what it wrote\n")), "{ran:?}");
    assert_eq!(procunit(&["wait", "-q", &bad]).all(), (7, String::new(), String::new()));
}

#[test]
fn a_time_limit_is_124_whoever_keeps_it() {
    let procs = Cleanup::group("wait-limit");
    let id = procs.start_with("own", &["--timeout", "300ms"], "sleep 60");
    let ran = procunit(&["wait", &id]);
    assert_eq!(ran.code(), 124, "{ran:?}");
    assert!(ran.err().contains("by its time limit"), "{ran:?}");
    assert_eq!(procunit(&["wait", &id]).code(), 124, "seen later");
    let up = procs.start("up", "sleep 60");
    let ran = procunit(&["wait", "--timeout", "200ms", &up]);
    assert_eq!(
        ran.all(),
        (124, String::new(), format!("procunit: {up}: the timeout passed; it is running\n"))
    );
    assert_eq!(procunit(&["wait", "--timeout", "0", &up]).code(), 124);
}

#[test]
fn of_several_the_first_failure_in_time_counts() {
    let procs = Cleanup::group("wait-many");
    procs.start("a-late", "sleep 2; exit 5");
    procs.start("b-early", "sleep 0.2; exit 6");
    procs.start("c-good", "exit 0");
    let ran = procunit(&["wait", "-o", "json", &procs.all()]);
    assert_eq!(ran.code(), 6, "{ran:?}");
    let told = ran.json();
    let codes: Vec<_> =
        told["procs"].as_array().expect("procs").iter().map(|proc| &proc["status"]["exit_code"]).collect();
    assert_eq!(codes, [0, 6, 5], "in the order in which they ended");
    assert_eq!(procunit(&["wait", "-q", &procs.all()]).code(), 6, "the same when all are over");
}

#[test]
fn any_is_whichever_ends_first() {
    let procs = Cleanup::group("wait-any");
    let late = procs.start("late", "sleep 60; exit 5");
    let early = procs.start("early", "sleep 0.3; exit 6");
    let ran = procunit(&["wait", "--any", "-o", "name", &procs.all()]);
    assert_eq!((ran.code(), ran.out()), (6, format!("{early}\n")), "{ran:?}");
    procunit(&["kill", &late]).ok();
    let ran = procunit(&["wait", "--any", "-o", "name", &procs.all()]);
    assert_eq!((ran.code(), ran.out()), (6, format!("{early}\n")), "of those that are over, the first");
}

#[test]
fn wait_can_remove_what_has_ended() {
    let procs = Cleanup::group("wait-rm");
    let id = procs.start("x", "exit 7");
    assert_eq!(procunit(&["wait", "--rm", "-q", &id]).code(), 7);
    procs.assert_no_unit();
    assert_eq!(procunit(&["wait", &id]).code(), 4);
}

#[test]
fn wait_ends_what_a_main_process_left_behind_and_the_end_is_still_read() {
    let procs = Cleanup::group("wait-left");
    let ways = [("obeys", "sleep 60"), ("ignores", "(trap '' TERM; sleep 60; sleep 60)")];
    for (name, child) in ways {
        let child = format!("{child} & echo $!");
        let id = procs.start_to_leave(name, &["--stop-timeout", "500ms"], &child);
        let child = procunit(&["logs", "-o", "cat", &id]).ok().trim().parse().expect("a pid");
        assert!(is_alive(child), "{name}: it outlives its parent");
        assert_eq!(procunit(&["wait", &id]).code(), 0);
        assert!(!is_alive(child), "{name}: it was not ended");
        let report = procs.report(name);
        assert_eq!(report["leftovers"], serde_json::Value::Null);
        assert_eq!(report["status"]["exit_code"], 0, "{report}");
    }
}

#[test]
fn an_end_that_nobody_watched_is_exact() {
    let procs = Cleanup::group("unwatched");
    let ends = [
        ("zero", "exit 0", serde_json::json!({"state": "stopped", "exit_code": 0, "stderr_tail": []})),
        ("three", "exit 3", serde_json::json!({"state": "stopped", "exit_code": 3, "stderr_tail": []})),
        ("term", "kill -TERM $$", serde_json::json!({"state": "killed", "signal": 15, "core_dumped": false})),
        ("kill", "kill -KILL $$", serde_json::json!({"state": "killed", "signal": 9, "core_dumped": false})),
    ];
    for (name, script, status) in ends {
        let id = procs.start_to_end(name, &format!("sleep 0.1; {script}"));
        assert_eq!(procs.report(name)["status"], status);
        let told = procunit(&["wait", "-q", "-o", "jsonl", &id]).json();
        assert_eq!(told["status"], status);
        assert!(told["wall_seconds"].as_f64().is_some_and(|wall| wall >= 0.1), "{told}");
    }
}

#[test]
fn a_waiting_command_sees_what_another_one_does() {
    let procs = Cleanup::group("wait-seen");
    let id = procs.start("x", "sleep 60");
    let mut waiting = in_background(&["wait", &id]);
    std::thread::sleep(Duration::from_millis(300));
    assert!(waiting.0.try_wait().expect("its status").is_none(), "it waits");
    procunit(&["stop", &id]).ok();
    let status = waiting.0.wait().expect("its end");
    assert_eq!(status.code(), Some(143));
    procs.assert_no_unit();
}

#[test]
fn an_attached_one_is_listed_and_can_be_stopped() {
    let procs = Cleanup::group("attached");
    let id = procs.id("x");
    let mut running = in_background(&["run", "-n", &id, "--", "sleep", "60"]);
    until("it runs", || procs.report("x")["status"]["state"] == "running");
    assert_eq!(procs.report("x")["lifetime"], "attached");
    let said = procunit(&["stop", &id]).ok();
    assert!(said.starts_with(&format!("{id}: stopped (killed by SIGTERM after ")), "{said}");
    assert_eq!(running.0.wait().expect("its end").code(), Some(143));
    procs.assert_no_unit();
}

/// Leaves a child that minds no TERM, and exits with 3.
const LEAVES_A_STUBBORN_ONE: &str = "trap '' TERM; while :; do sleep 0.05; done & exit 3";

/// Less than the stop timeout, which is what a wish that is not heard would take.
const SOON: Duration = Duration::from_secs(6);

#[track_caller]
fn soon<T>(label: &str, what: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let came = what();
    assert!(start.elapsed() < SOON, "{label} took {:?}", start.elapsed());
    came
}

#[test]
fn wait_passes_a_known_end_on_and_tells_what_is_still_left_of_it() {
    let procs = Cleanup::group("wait-known");
    let id = procs.start_to_leave("x", &[], LEAVES_A_STUBBORN_ONE);
    let told = format!("procunit: {id}: what it left behind is still there; `procunit stop {id}` ends it\n");
    for flags in [["--timeout", "300ms"], ["--timeout", "0"]] {
        let ran = soon("wait", || procunit(&[&["wait"], &flags[..], &[&id]].concat()));
        assert_eq!(ran.code(), 3, "{ran:?}");
        assert!(ran.err().starts_with(&format!("procunit: {id}: exited with 3 after ")), "{ran:?}");
        assert!(ran.err().ends_with(&told), "{ran:?}");
    }
    let other = procs.start("other", "sleep 60");
    let ran = soon("wait --any", || procunit(&["wait", "--any", "-o", "name", &id, &other]));
    assert_eq!((ran.code(), ran.out()), (3, format!("{id}\n")), "{ran:?}");
    assert_eq!(procs.report("x")["leftovers"].as_u64().map(|left| left > 0), Some(true));
}

#[test]
fn what_an_ended_one_left_is_ended_as_stop_and_rm_say() {
    let procs = Cleanup::group("left-asked");
    let ways = [vec!["stop", "-t", "300ms"], vec!["rm", "-f"]];
    for way in ways {
        let id = procs.start_to_leave("x", &[], LEAVES_A_STUBBORN_ONE);
        let ran = soon(way[0], || procunit(&[&way[..], &[&id]].concat()));
        assert!(ran.ok().starts_with(&format!("{id}: removed (exited with 3 after ")), "{ran:?}");
        procs.assert_no_unit();
    }
}

#[test]
fn what_an_ended_one_left_gets_its_stop_signal() {
    let procs = Cleanup::group("left-usr1");
    let minds_usr1_alone = "trap '' TERM; sleep 60 & exit 0";
    let id = procs.start_to_leave("x", &["--stop-signal", "USR1"], minds_usr1_alone);
    soon("wait", || procunit(&["wait", &id]).ok());
    assert_eq!(procs.report("x")["leftovers"], serde_json::Value::Null);
}

#[test]
fn another_signal_and_a_look_at_the_log_end_nothing_that_an_ended_one_left() {
    let procs = Cleanup::group("left-alone");
    let id = procs.start_to_leave("x", &[], "trap '' USR2; sleep 60 & echo $!");
    let child = procunit(&["logs", "-o", "cat", &id]).ok().trim().parse().expect("a pid");
    assert_eq!(procunit(&["kill", "-s", "USR2", &id]).ok(), format!("{id}: SIGUSR2 sent\n"));
    procunit(&["logs", "-f", &id]).ok();
    assert!(is_alive(child), "it was ended");
    procunit(&["kill", &id]).ok();
    assert!(!is_alive(child), "it was not ended");
}

#[test]
fn what_systemd_is_still_ending_is_counted_and_named_as_the_reason_of_a_refusal() {
    let procs = Cleanup::group("left-ending");
    let id = procs.start_to_leave("x", &[], LEAVES_A_STUBBORN_ONE);
    systemctl(&["stop", "--no-block", &procs.unit("x")]);
    let state = || systemctl(&["show", "--property=ActiveState", "--value", &procs.unit("x")]);
    until("systemd is ending it", || state() == "deactivating\n");
    assert_eq!(procs.report("x")["leftovers"].as_u64().map(|left| left > 0), Some(true));
    let ran = procunit(&["run", "-d", "-n", &id, "--", "true"]);
    assert_eq!(ran.code(), 125, "{ran:?}");
    assert!(ran.err().contains("what it left behind is still being ended"), "{ran:?}");
    // systemd's own deadline is far off; ours is heard.
    soon("stop", || procunit(&["stop", "-t", "300ms", &id]).ok());
    procs.assert_no_unit();
}

#[test]
fn a_stop_timeout_that_is_cut_to_the_backstop_is_told() {
    let procs = Cleanup::group("stop-cut");
    let id = procs.start("x", "sleep 60");
    let ran = procunit(&["stop", "-o", "jsonl", "-t", "200s", &id]);
    let note = "the stop timeout of 3min 20s was cut to the backstop, 1min 30s";
    assert_eq!(ran.err(), format!("procunit: {id}: {note}\n"), "{ran:?}");
    assert_eq!(ran.json()["report"]["notes"], serde_json::json!([note]));
}
