//! Every line of all procs, sent to a channel of the caller's.

use std::collections::BTreeMap;

use procunit::ProcManager;
use procunit::journal::{OutputEvent, StdStream};
use procunit::spec::{Lifetime, Output};
use tokio::sync::mpsc::{self, Receiver};

use crate::bed::{Bed, clear, end_of, spawn};
use crate::live::journald::kept;
use crate::live::{BOUND, eventually, within};
use crate::text::text;

each_backend![
    every_line_of_every_proc_comes_and_the_journal_has_it_too,
    a_full_channel_is_told_how_many_were_lost,
    a_proc_may_be_left_out,
    what_goes_elsewhere_is_left_alone,
    a_channel_that_nobody_reads_any_more_stops_nobody,
];

async fn forwarding(bed: &Bed, room: usize) -> (ProcManager, Receiver<OutputEvent>) {
    let (forward, lines) = mpsc::channel(room);
    (ProcManager::builder(bed.launcher().await).forward(forward).build(), lines)
}

/// What comes until the manager is gone: lines by proc and stream, and how many are told to be lost.
async fn all_of(
    manager: ProcManager,
    mut events: Receiver<OutputEvent>,
) -> (BTreeMap<(String, &'static str), Vec<String>>, u64) {
    within("its end", manager.shutdown()).await;
    drop(manager);
    let (mut lines, mut lost) = (BTreeMap::<_, Vec<_>>::new(), 0);
    while let Some(event) = within("an event or the end", events.recv()).await {
        match event {
            OutputEvent::Line(line) => {
                let of = (line.id.to_string(), line.stream.as_str());
                lines.entry(of).or_default().push(text(&line.bytes));
            }
            OutputEvent::Lost { lines, .. } => lost += lines,
            _ => unreachable!("there is nothing else"),
        }
    }
    (lines, lost)
}

fn numbers(to: u32) -> Vec<String> {
    (1..=to).map(|n| n.to_string()).collect()
}

async fn every_line_of_every_proc_comes_and_the_journal_has_it_too(bed: &Bed) {
    let (manager, events) = forwarding(bed, 10_000).await;
    let mut ids = Vec::new();
    for output in [Output::Journal, Output::Capture { journal: true }, Output::Capture { journal: false }] {
        let spec = bed.sh("seq 100; seq 50 >&2").rank(7).stdout(output.clone()).stderr(output);
        let handle = spawn(&manager, spec).await;
        drop((handle.take_stdout(), handle.take_stderr()));
        end_of(&handle).await;
        within("all of it", handle.handed_on()).await;
        ids.push(handle.id().clone());
    }
    let (lines, lost) = all_of(manager, events).await;
    assert_eq!(lost, 0);
    let streams = [(StdStream::Stdout, 100), (StdStream::Stderr, 50)];
    let expected = ids
        .iter()
        .flat_map(|id| streams.map(|(stream, count)| ((id.to_string(), stream.as_str()), numbers(count))));
    assert_eq!(lines, expected.collect());
    let in_journal = &ids[..2];
    eventually(BOUND, "all of them in the journal", || async {
        let found = kept(in_journal).await;
        let all = in_journal.iter().all(|id| found.get(id.as_str()).is_some_and(|lines| lines.len() == 150));
        all.then_some(())
    })
    .await;
    assert!(kept(&ids[2..]).await.is_empty(), "it was not for the journal");
}

async fn a_full_channel_is_told_how_many_were_lost(bed: &Bed) {
    let (manager, events) = forwarding(bed, 10).await;
    let handle = spawn(&manager, bed.sh("seq 500").stdout(Output::Capture { journal: false })).await;
    drop(handle.take_stdout());
    end_of(&handle).await;
    within("all of it", handle.handed_on()).await;
    drop(handle);
    let (lines, lost) = all_of(manager, events).await;
    let came = lines.into_values().next().expect("lines");
    assert_eq!((came.as_slice(), lost), (&numbers(500)[..10], 490));
}

async fn a_proc_may_be_left_out(bed: &Bed) {
    let (manager, events) = forwarding(bed, 100).await;
    let handle = spawn(&manager, bed.sh("echo words").stdout(Output::Journal).forward(false)).await;
    end_of(&handle).await;
    assert_eq!(all_of(manager, events).await, (BTreeMap::new(), 0));
}

async fn what_goes_elsewhere_is_left_alone(bed: &Bed) {
    let (manager, events) = forwarding(bed, 100).await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("out").to_str().expect("text").to_owned();
    for output in [Output::Null, Output::File(path.clone())] {
        end_of(&spawn(&manager, bed.sh("echo words").stdout(output)).await).await;
    }
    if bed.is_systemd() {
        let spec = bed.sh("echo words").stdout(Output::Journal).lifetime(Lifetime::Detached);
        let handle = spawn(&manager, spec).await;
        end_of(&handle).await;
        clear(&handle).await;
    }
    assert_eq!(std::fs::read_to_string(path).expect("a file"), "words\n");
    assert_eq!(all_of(manager, events).await, (BTreeMap::new(), 0));
}

async fn a_channel_that_nobody_reads_any_more_stops_nobody(bed: &Bed) {
    let (manager, events) = forwarding(bed, 1).await;
    drop(events);
    let handle = spawn(&manager, bed.sh("seq 1000; exit 3").stdout(Output::Capture { journal: false })).await;
    drop(handle.take_stdout());
    assert_eq!(end_of(&handle).await, crate::bed::stopped(3));
    within("all of it", handle.handed_on()).await;
}
