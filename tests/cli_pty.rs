//! `procunit run -t`, where the test is the terminal that the command is on.

#![cfg(feature = "cli")]

mod pty;
#[expect(dead_code, reason = "it needs a part of it")]
mod support;

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use procunit::sys::terminal::WindowSize;

use pty::{LAUNCHERS, Outer, Raw, state_of};
use support::{Ran, procunit, until};

/// Says that it is up, and waits for what comes.
const WAITS: &str = "echo up; exec sleep 60";

#[test]
fn the_program_has_a_controlling_terminal_of_its_own() {
    let script = r#"test "/dev/$(ps -o tty= -p $$)" = "$(tty)" && echo through it >/dev/tty"#;
    for launcher in LAUNCHERS {
        let (code, said) = Outer::run(launcher, &["-q"], script).end();
        assert_eq!((code, said.as_str()), (0, "through it\r\n"), "{launcher}");
    }
}

#[test]
fn it_has_the_size_of_the_terminal_at_first_and_after_every_change() {
    let script = "trap 'stty size' WINCH; stty size; while :; do sleep 0.02; done";
    for launcher in LAUNCHERS {
        let mut outer = Outer::run(launcher, &[], script);
        outer.expect("33 77\r\n");
        for (rows, columns) in [(40, 100), (41, 20)] {
            WindowSize { rows, columns, pixels: (0, 0) }.give_to(&outer.ours).expect("a size");
            outer.expect(&format!("{rows} {columns}\r\n"));
        }
    }
}

#[test]
fn it_has_the_modes_and_the_term_of_the_terminal_though_all_else_is_clean() {
    let script = r#"stty -a | grep -o 'intr = ^[A-Z]'; echo "$TERM"; echo "${ODD-clean}""#;
    for launcher in LAUNCHERS {
        let mut command = Outer::command(launcher, &["-q", "--clean-env"], script);
        command.env("TERM", "odd-term").env("ODD", "seen");
        let (code, said) = Outer::start(&mut command).end();
        assert_eq!((code, said.as_str()), (0, "intr = ^X\r\nodd-term\r\nclean\r\n"), "{launcher}");
        let mut command = Outer::command(launcher, &["-q"], "env | grep ^TERM=; exit 0");
        let (code, said) = Outer::start(command.env_remove("TERM")).end();
        assert_eq!((code, said.as_str()), (0, ""), "{launcher}");
    }
}

#[test]
fn the_interrupt_key_ends_the_program_and_not_the_command() {
    for launcher in LAUNCHERS {
        let mut outer = Outer::run(launcher, &[], WAITS);
        outer.expect("up\r\n");
        // The modes of this terminal have it so.
        outer.type_in(b"\x18");
        let (code, said) = outer.end();
        assert_eq!(code, 130, "{launcher}: {said}");
        assert!(said.contains("killed by SIGINT"), "{said}");
        assert!(!said.contains("by procunit"), "{said}");
    }
}

#[test]
fn an_inner_shell_has_job_control() {
    // It starts no process: a shell that waits for vfork(2) cannot be stopped, and the child it waits for can.
    let job = r#"sh -c 'trap "echo again-$((50+5))" CONT; echo job-$((40+2)); while :; do :; done'"#;
    for launcher in LAUNCHERS {
        // TERM it ignores, and would be left for the stop timeout where this test is ended in the middle.
        let flags = ["--stop-signal", "HUP"];
        let mut outer = Outer::run(launcher, &flags, "PS1='at-prompt> ' exec bash --norc --noprofile -i");
        outer.expect("at-prompt> ");
        outer.type_in(format!("{job}\r").as_bytes());
        outer.expect("job-42");
        outer.type_in(b"\x1a");
        outer.expect("Stopped");
        outer.expect("at-prompt> ");
        outer.type_in(b"fg\r");
        outer.expect("again-55");
        outer.type_in(b"\x18");
        outer.expect("at-prompt> ");
        outer.type_in(b"exit 5\r");
        let (code, said) = outer.end();
        assert_eq!(code, 5, "{launcher}: {said}");
        assert!(!said.contains("no job control"), "{said}");
    }
}

#[test]
fn exit_codes_pass_through() {
    for launcher in LAUNCHERS {
        for (script, expected) in [("exit 0", 0), ("exit 3", 3), ("kill -KILL $$", 137)] {
            let outer = Outer::run(launcher, &[], script);
            assert_eq!(outer.end().0, expected, "{launcher}: {script}");
        }
        let mut missing = Command::new(env!("CARGO_BIN_EXE_procunit"));
        missing.args(["--launcher", launcher, "run", "-t", "--", "/nonexistent"]);
        assert_eq!(support::run(&mut missing).code(), 127, "{launcher}");
    }
}

/// What a way out is made of: until it is taken the terminal is raw.
fn takes(way: &str, outer: &mut Outer) {
    match way {
        "the program is killed" => {
            let pid = outer.expect("PID").rsplit(' ').nth(1).expect("a number").to_owned();
            Command::new("kill").args(["-KILL", &pid]).status().expect("kill");
        }
        "three ^]" => outer.type_in(b"\x1d\x1d\x1d"),
        signal => outer.signal(signal),
    }
}

#[test]
fn the_terminal_is_as_it_was_on_every_way_out() {
    let ways = ["the program is killed", "three ^]", "TERM", "INT", "HUP", "QUIT"];
    for launcher in LAUNCHERS {
        for way in ways {
            let mut outer = Outer::run(launcher, &[], "echo; echo $$ PID; exec sleep 60");
            outer.expect("\r\n");
            until("the terminal is raw", || outer.is_raw() == Raw::Yes);
            takes(way, &mut outer);
            let code = outer.end_with_modes_as_before(&format!("{launcher}, {way}"));
            assert_eq!(code, if way == "the program is killed" { 137 } else { 143 }, "{launcher}, {way}");
        }
        let outer = Outer::run(launcher, &[], "stty raw; exit 3");
        assert_eq!(outer.end_with_modes_as_before(&format!("{launcher}, an end")), 3);
        let outer = Outer::run(launcher, &["-C", "/nonexistent"], "exit 3");
        assert_ne!(outer.end_with_modes_as_before(&format!("{launcher}, an error")), 3);
    }
}

#[test]
fn a_terminal_that_is_closed_asks_it_to_stop_and_leaves_it_the_time_for_that() {
    let dir = tempfile::tempdir().expect("a directory");
    for launcher in LAUNCHERS {
        let told = dir.path().join(launcher);
        let stopping =
            format!("echo to nobody; sleep 0.2; echo again; echo done >{}; exit 9", told.display());
        let script = format!("trap '{stopping}' TERM; echo up; while :; do sleep 0.02; done");
        let mut outer = Outer::run(launcher, &[], &script);
        outer.expect("up\r\n");
        assert_eq!(outer.close(), 9, "{launcher}");
        assert_eq!(std::fs::read_to_string(told).expect("its word"), "done\n", "{launcher}");
    }
}

#[test]
fn a_terminal_that_is_not_the_commands_own_is_as_it_was_afterwards() {
    let mut command = Command::new("setsid");
    command.args([env!("CARGO_BIN_EXE_procunit"), "run", "-t", "--", "sh", "-c", WAITS]);
    let mut outer = Outer::start(&mut command);
    outer.expect("up\r\n");
    until("the terminal is raw", || outer.is_raw() == Raw::Yes);
    outer.type_in(b"\x18");
    assert_eq!(outer.end_with_modes_as_before("another's"), 130);
}

#[test]
fn while_the_command_is_suspended_the_terminal_is_as_it_was() {
    for launcher in LAUNCHERS {
        let mut outer = Outer::run(launcher, &[], WAITS);
        outer.expect("up\r\n");
        until("the terminal is raw", || outer.is_raw() == Raw::Yes);
        outer.signal("TSTP");
        until("it stands still", || state_of(outer.pid()) == 'T');
        outer.assert_modes_as_before(launcher);
        outer.signal("CONT");
        until("the terminal is raw again", || outer.is_raw() == Raw::Yes);
        outer.type_in(b"\x18");
        assert_eq!(outer.end_with_modes_as_before(launcher), 130);
    }
}

#[test]
fn the_way_out_is_told_once_and_not_where_less_is_wanted() {
    let told = "procunit: ^] three times within a second stops it\r\n";
    let (code, said) = Outer::run("systemd", &[], "echo out").end();
    assert_eq!((code, said), (0, format!("{told}out\r\n")));
    let (code, said) = Outer::run("systemd", &["-q"], "echo out").end();
    assert_eq!((code, said.as_str()), (0, "out\r\n"));
}

#[test]
fn every_byte_passes_both_ways() {
    let every: Vec<u8> = (0..=u8::MAX).collect();
    for launcher in LAUNCHERS {
        let mut outer = Outer::run(launcher, &["-q"], "stty raw -echo; echo up; exec cat");
        outer.expect("up\n");
        for round in 0..100 {
            outer.type_in(&every);
            assert_eq!(outer.take(every.len()), every, "{launcher}: {round}");
        }
    }
}

/// The command with streams that are no terminals.
fn piped(launcher: &str, input: &[u8], script: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procunit"));
    command.args(["--launcher", launcher, "run", "-q", "-t", "--", "sh", "-c", script]);
    let (read, mut write) = std::io::pipe().expect("a pipe");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || write.write_all(&input));
    let ran = support::run_with(command.stdin(read));
    // Its reader, too: who writes hears that nobody reads any more.
    drop(command);
    let _ = writer.join();
    ran
}

#[test]
fn input_that_is_no_terminal_is_typed_and_its_end_is_the_key_for_it() {
    for launcher in LAUNCHERS {
        for (input, read) in [("one\ntwo", 7), ("one\n", 4), ("", 0)] {
            let ran = piped(launcher, input.as_bytes(), "stty -echo; wc -c");
            assert_eq!(ran.code(), 0, "{launcher}: {ran:?}");
            // What came before the echo was turned off is seen.
            assert!(ran.out().ends_with(&format!("{read}\r\n")), "{launcher}: {ran:?}");
        }
    }
}

#[test]
fn what_is_fed_and_not_read_holds_nothing_up() {
    for launcher in LAUNCHERS {
        let ran = piped(launcher, &b"line\n".repeat(200_000), "stty -echo; exit 4");
        assert_eq!(ran.code(), 4, "{launcher}: {ran:?}");
    }
}

#[test]
fn all_that_it_wrote_is_shown_before_the_command_ends() {
    let expected = (1..=20_000).map(|number| format!("{number}\r\n")).collect::<Vec<_>>().concat();
    for launcher in LAUNCHERS {
        let ran = piped(launcher, b"", "seq 20000");
        assert_eq!(ran.code(), 0, "{launcher}");
        assert!(ran.out().ends_with(&expected), "{launcher}: {} bytes", ran.out().len());
    }
}

#[test]
fn what_still_has_the_terminal_open_does_not_hold_the_end_up() {
    for launcher in LAUNCHERS {
        let stubborn =
            "(trap '' TERM HUP; echo up; while :; do sleep 0.02; done) & read up; echo last; exit 4";
        let ran = pty::soon("the end", || piped(launcher, b"\n", stubborn));
        assert_eq!(ran.code(), 4, "{launcher}: {ran:?}");
        assert!(ran.out().contains("last\r\n"), "{launcher}: {ran:?}");
    }
}

#[test]
fn a_reader_that_has_enough_ends_it() {
    for launcher in LAUNCHERS {
        let mut command = Command::new(env!("CARGO_BIN_EXE_procunit"));
        command.args(["--launcher", launcher, "run", "-q", "-t", "--", "yes"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the command");
        let mut first = [0; 3];
        child.stdout.take().expect("a pipe").read_exact(&mut first).expect("a line");
        assert_eq!(&first, b"y\r\n");
        assert_eq!(pty::end_of(&mut child), 143, "{launcher}");
    }
}

#[test]
fn a_run_that_follows_another_has_the_terminal_as_well() {
    let script = r#"echo "run on $(tty)" >/dev/tty; exit 6"#;
    for launcher in LAUNCHERS {
        let flags = ["-q", "--restart", "on-failure:2", "--restart-delay", "10ms"];
        let (code, said) = Outer::run(launcher, &flags, script).end();
        let mut lines: Vec<_> = said.lines().collect();
        assert_eq!((code, lines.len()), (6, 3), "{launcher}: {said}");
        lines.dedup();
        assert_eq!(lines.len(), 1, "{launcher}: {said}");
    }
}

#[test]
fn a_terminal_and_a_proc_that_is_left_running_exclude_each_other() {
    let ran = procunit(&["run", "-t", "-d", "--", "true"]);
    assert_eq!((ran.code(), ran.out()), (2, String::new()), "{ran:?}");
    assert!(ran.err().contains("--detach") && ran.err().contains("--pty"), "{ran:?}");
}
