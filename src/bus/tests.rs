//! The real client code against a scripted manager.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use tokio::sync::oneshot;
use zbus::Variant;

use super::decode::{SERVICE, UNIT};
use super::fake::{Answer, Fake};
use super::*;
use crate::id::ProcId;
use crate::status::snapshot::ServiceSide;
use crate::unit::property::FdSlot;

/// Far beyond what anything here takes.
const BOUND: Duration = Duration::from_secs(20);

async fn within<T>(label: &str, what: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, what).await.unwrap_or_else(|_| panic!("timed out: {label}"))
}

async fn next(events: &mut Events, label: &str) -> BusEvent {
    within(label, events.recv()).await.unwrap_or_else(|| panic!("no more events: {label}"))
}

/// Waits until `seen` holds of the fake.
async fn until(fake: &Fake, label: &str, seen: impl Fn(&[String]) -> bool) {
    within(label, async {
        while !seen(&fake.seen()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

fn unit(name: &str) -> UnitName {
    UnitName::for_proc(&ProcId::new(name).unwrap())
}

fn count(seen: &[String], call: &str) -> usize {
    seen.iter().filter(|one| *one == call).count()
}

#[tokio::test]
async fn connecting_tells_version_and_environment_and_adds_three_matches() {
    let (fake, Connected { info, .. }) = Fake::connected().await;
    assert_eq!(info.version, "252.1-fake");
    assert_eq!(info.environment, [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "x=y".to_owned())]);
    let seen = fake.seen();
    assert_eq!(seen.iter().filter(|call| call.starts_with("AddMatch")).count(), 3, "{seen:?}");
    assert!(!seen.iter().any(|call| call.contains("Introspect") || call.contains("GetAll")), "{seen:?}");
}

#[tokio::test]
async fn a_bus_without_systemd_is_told_apart_from_no_bus() {
    for name in ["org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.Spawn.ChildExited"]
    {
        let fake = Fake::default();
        fake.on("Get", move |_| Answer::error(name, "nobody"));
        let error = Bus::connect_by(Box::new(fake)).await.unwrap_err();
        assert!(matches!(error, BusError::NotAUserManager { .. }), "{name}: {error:?}");
    }
    let nowhere = BusAddress::new("unix:path=/nonexistent/bus");
    let error = Bus::connect(nowhere.clone()).await.unwrap_err();
    assert!(matches!(&error, BusError::Unreachable { address, .. } if *address == nowhere), "{error:?}");
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn a_job_that_ends_before_the_answer_to_its_call_is_not_missed() {
    let (fake, Connected { bus, mut events, .. }) = Fake::connected().await;
    let name = unit("fast");
    bus.track(&name);
    let (asked, was_asked) = oneshot::channel();
    let (answer, may_answer) = oneshot::channel::<()>();
    let mut once = Some((asked, may_answer));
    fake.on("StartTransientUnit", move |_| {
        let (asked, may_answer) = once.take().unwrap();
        asked.send(()).unwrap();
        Answer::job(7).after(async { may_answer.await.unwrap() })
    });
    let starting = tokio::spawn({
        let (bus, name) = (bus.clone(), name.clone());
        async move { bus.start_transient(name.as_str(), &[], &[], FdSlots::default()).await }
    });
    within("the call", was_asked).await.unwrap();
    fake.job_removed(6, name.as_str(), "canceled").await;
    fake.job_removed(7, name.as_str(), "done").await;
    for id in [6, 7] {
        let told = next(&mut events, "the job's end").await;
        assert!(
            matches!(&told, BusEvent::JobRemoved { id: ended, unit, .. } if *ended == id && *unit == name),
            "{told:?}"
        );
    }
    answer.send(()).unwrap();
    let mut job = within("the answer", starting).await.unwrap().unwrap();
    assert_eq!(job.id(), JobId(7));
    assert_eq!(within("the job", job.ended()).await.unwrap(), "done");
}

#[tokio::test]
async fn both_halves_of_a_change_are_one_event_and_half_a_change_is_none() {
    let (fake, Connected { bus, mut events, .. }) = Fake::connected().await;
    let name = unit("a");
    bus.track(&name);
    fake.changed(name.as_str(), UNIT, &[("ActiveState", "half".into())]).await;
    fake.changed("other.service", SERVICE, &[("MainPID", 1_u32.into())]).await;
    fake.changed("other.service", UNIT, &[("ActiveState", "other".into())]).await;
    fake.state(name.as_str(), 42, "active").await;
    let BusEvent::Changed(told, snapshot) = next(&mut events, "the change").await else {
        panic!("another event")
    };
    assert_eq!((told, snapshot.service.main_pid), (name, Some(42)));
    assert_eq!(snapshot.unit.active_state.as_deref(), Some("active"));
    assert_eq!(events.try_recv(), None);
}

#[tokio::test]
async fn unknown_missing_and_mistyped_properties_leave_the_rest_readable() {
    let (fake, Connected { bus, mut events, .. }) = Fake::connected().await;
    let name = unit("odd");
    bus.track(&name);
    let nested = Variant::from(vec![("a", vec![1_u64], true)]);
    let service: [(&str, Variant<'_>); 5] = [
        ("SomethingOf2030", nested.try_clone().unwrap()),
        ("MainPID", "forty-two".into()),
        ("ExecMainCode", 1_i32.into()),
        ("Result", 5_u64.into()),
        ("ExecMainStatus", 7_i32.into()),
    ];
    fake.changed(name.as_str(), SERVICE, &service).await;
    fake.changed(name.as_str(), UNIT, &[("Job", nested), ("InvocationID", vec![1_u8; 5].into())]).await;
    let BusEvent::Changed(_, snapshot) = next(&mut events, "the change").await else {
        panic!("another event")
    };
    let wanted = ServiceSide { exec_main_code: Some(1), exec_main_status: Some(7), ..ServiceSide::default() };
    assert_eq!(snapshot, Snapshot { service: wanted, ..Snapshot::default() });
}

#[tokio::test]
async fn a_call_is_answered_in_the_middle_of_a_flood_and_the_newest_state_is_told() {
    const FLOOD: u32 = 10_000;
    let (fake, Connected { bus, mut events, .. }) = Fake::connected().await;
    let name = unit("noisy");
    bus.track(&name);
    fake.on("GetAll", |_| {
        let properties: HashMap<&str, Variant<'_>> =
            [("LoadState", "loaded".into()), ("MainPID", 3_u32.into()), ("MemoryCurrent", u64::MAX.into())]
                .into();
        Answer::body(properties)
    });
    let flood = async {
        for pid in 1..=FLOOD / 4 {
            fake.state("other.service", pid, "active").await;
            fake.state(name.as_str(), pid, "active").await;
        }
    };
    // Nobody reads the events meanwhile.
    let looks = async {
        let mut answered = 0;
        for _ in 0..100 {
            let (snapshot, details) = within("a look", bus.details(name.as_str())).await.unwrap();
            assert_eq!(snapshot.unit.load_state.as_deref(), Some("loaded"));
            assert_eq!((snapshot.service.main_pid, details.memory_current), (Some(3), None));
            answered += 1;
        }
        answered
    };
    let ((), answered) = within("the flood", Box::pin(async { tokio::join!(flood, looks) })).await;
    assert_eq!(answered, 100);
    let mut told = 0;
    within("the newest state", async {
        loop {
            told += 1;
            let event = events.recv().await;
            let Some(BusEvent::Changed(_, snapshot)) = event else { panic!("another event: {event:?}") };
            if snapshot.service.main_pid == Some(FLOOD / 4) {
                break;
            }
        }
    })
    .await;
    assert!(told <= 2 * PER_UNIT, "{told} events were kept");
}

#[tokio::test]
async fn a_lost_connection_fails_what_is_pending_and_everything_comes_back() {
    let (fake, Connected { bus, mut events, .. }) = Fake::connected().await;
    let (held, free) = (unit("held"), unit("free"));
    bus.track(&held);
    bus.track(&free);
    bus.add_ref(held.as_str()).await.unwrap();
    fake.on("StopUnit", |_| Answer::job(1));
    let mut job = bus.stop(held.as_str()).await.unwrap();
    fake.on("GetAll", |_| Answer::Silence);
    let pending = tokio::spawn({
        let (bus, held) = (bus.clone(), held.clone());
        async move { bus.look(held.as_str()).await }
    });
    until(&fake, "the look", |seen| count(seen, "GetAll") == 1).await;

    fake.refuse(3);
    fake.calls().close().await.unwrap();
    fake.signals().close().await.unwrap();
    let lost = |error: &BusError| matches!(error, BusError::Disconnected { .. });
    assert!(lost(&within("the pending look", pending).await.unwrap().unwrap_err()));
    assert!(lost(&within("the job", job.ended()).await.unwrap_err()));
    assert!(matches!(next(&mut events, "the loss").await, BusEvent::Disconnected { .. }));
    assert!(lost(&bus.look(held.as_str()).await.unwrap_err()));

    assert_eq!(next(&mut events, "the return").await, BusEvent::Reconnected);
    let seen = fake.seen();
    assert_eq!(count(&seen, &format!("RefUnit {held}")), 2, "{seen:?}");
    assert_eq!(count(&seen, &format!("RefUnit {free}")), 0, "{seen:?}");
    assert_eq!(seen.iter().filter(|call| call.starts_with("AddMatch")).count(), 6, "{seen:?}");
    fake.state(free.as_str(), 9, "active").await;
    assert!(matches!(next(&mut events, "a change").await, BusEvent::Changed(name, _) if name == free));
}

#[tokio::test]
async fn references_outlive_the_loss_of_the_other_connection() {
    let (fake, Connected { bus, mut events, .. }) = Fake::connected().await;
    let name = unit("held");
    bus.track(&name);
    bus.add_ref(name.as_str()).await.unwrap();
    fake.on("GetAll", |_| Answer::body(HashMap::<&str, Variant<'_>>::new()));
    fake.signals().close().await.unwrap();
    assert!(matches!(next(&mut events, "the loss").await, BusEvent::Disconnected { .. }));
    within("a look", bus.look(name.as_str())).await.unwrap();
    assert_eq!(next(&mut events, "the return").await, BusEvent::Reconnected);
    assert_eq!(count(&fake.seen(), &format!("RefUnit {name}")), 1);
}

#[tokio::test]
async fn a_manager_that_comes_after_the_bus_gets_the_references_then() {
    let (fake, Connected { bus, mut events, .. }) = Fake::connected().await;
    let name = unit("held");
    bus.track(&name);
    bus.add_ref(name.as_str()).await.unwrap();
    let nobody = "org.freedesktop.DBus.Error.NameHasNoOwner";
    fake.on("GetNameOwner", move |_| Answer::error(nobody, "nobody"));
    fake.calls().close().await.unwrap();
    assert!(matches!(next(&mut events, "the loss").await, BusEvent::Disconnected { .. }));
    assert_eq!(next(&mut events, "the return of the bus").await, BusEvent::Reconnected);
    assert_eq!(next(&mut events, "no manager").await, BusEvent::ManagerLost);
    fake.on("GetNameOwner", |_| Answer::body(":1.2"));
    fake.owner_changed("", ":1.2").await;
    assert_eq!(next(&mut events, "the manager").await, BusEvent::ManagerBack);
    assert_eq!(count(&fake.seen(), &format!("RefUnit {name}")), 2);
}

#[tokio::test]
async fn a_reexecuted_manager_keeps_the_references_and_ends_the_waits_for_jobs() {
    let (fake, Connected { bus, mut events, .. }) = Fake::connected().await;
    let name = unit("held");
    bus.track(&name);
    bus.add_ref(name.as_str()).await.unwrap();
    fake.on("StopUnit", |_| Answer::job(1));
    let mut job = bus.stop(name.as_str()).await.unwrap();
    fake.owner_changed(":1.1", "").await;
    fake.owner_changed("", ":1.2").await;
    assert_eq!(next(&mut events, "the loss").await, BusEvent::ManagerLost);
    assert_eq!(next(&mut events, "the return").await, BusEvent::ManagerBack);
    assert!(matches!(within("the job", job.ended()).await, Err(BusError::Disconnected { .. })));
    assert_eq!(count(&fake.seen(), &format!("RefUnit {name}")), 1);
}

#[tokio::test]
async fn errors_are_told_by_their_names() {
    let (fake, Connected { bus, .. }) = Fake::connected().await;
    let of = async |name: &'static str| {
        fake.on("KillUnit", move |_| Answer::error(name, "said so"));
        bus.kill("a.service", Whom::All, Signal::KILL).await.unwrap_err()
    };
    let error = of("org.freedesktop.systemd1.NoSuchUnit").await;
    assert!(
        matches!(&error, BusError::NoSuchUnit { unit, message } if unit == "a.service" && message == "said so")
    );
    assert!(matches!(of("org.freedesktop.systemd1.UnitExists").await, BusError::UnitExists { .. }));
    assert!(matches!(of("org.freedesktop.DBus.Error.AccessDenied").await, BusError::AccessDenied { .. }));
    assert!(matches!(of("org.freedesktop.DBus.Error.LimitsExceeded").await, BusError::LimitsExceeded { .. }));
    assert!(matches!(
        of("org.freedesktop.DBus.Error.ServiceUnknown").await,
        BusError::NotAUserManager { .. }
    ));
    assert!(matches!(of("org.freedesktop.systemd1.NoSuchProcess").await, BusError::NoSuchProcess { .. }));
    let error = of("org.freedesktop.systemd1.ShuttingDown").await;
    assert_eq!(error.to_string(), "org.freedesktop.systemd1.ShuttingDown: said so");
}

#[tokio::test]
async fn a_manager_that_does_not_answer_is_given_up_after_the_bound() {
    let (fake, Connected { bus, .. }) = Fake::connected().await;
    fake.on("StopUnit", |_| Answer::Silence);
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    let error = bus.stop("a.service").await.unwrap_err();
    assert!(matches!(error, BusError::TimedOut { call: "StopUnit", after: CALL_TIMEOUT }), "{error:?}");
    assert!(begin.elapsed() >= CALL_TIMEOUT);
}

/// Properties as they arrive.
type Named<'a> = Vec<(&'a str, Variant<'a>)>;

#[tokio::test]
async fn properties_auxiliary_units_and_descriptors_arrive_as_they_were_given() {
    let (fake, Connected { bus, .. }) = Fake::connected().await;
    let (reader, writer) = std::io::pipe().unwrap();
    let (tell, told) = oneshot::channel();
    let mut tell = Some(tell);
    fake.on("StartTransientUnit", move |call| {
        let body = call.body();
        let (name, mode, properties, aux): (&str, &str, Named<'_>, Vec<(&str, Named<'_>)>) =
            body.deserialize().unwrap();
        let text = format!("{name} {mode} {:?} {} {:?}", properties[0], aux[0].0, aux[0].1[0]);
        let Variant::Fd(fd) = &properties[1].1 else { panic!("no descriptor") };
        tell.take().unwrap().send((text, fd.try_to_owned().unwrap())).ok().unwrap();
        Answer::job(1)
    });
    let properties =
        [Property::new("Description", "$HOME %n"), Property::new("StandardInputFileDescriptor", FdSlot::Tie)];
    let aux = AuxUnit { name: "holder.service".into(), properties: vec![Property::new("Slice", "x.slice")] };
    let fds = FdSlots { tie: Some(reader.as_fd()), ..FdSlots::default() };
    bus.start_transient("a.service", &properties, &[aux], fds).await.unwrap();
    drop(reader);
    let (text, fd) = within("the call", told).await.unwrap();
    assert_eq!(
        text,
        r#"a.service replace ("Description", Str("$HOME %n")) holder.service ("Slice", Str("x.slice"))"#
    );
    // It is the pipe: what is written on one end comes out here, and its end is seen.
    let mut arrived = std::fs::File::from(OwnedFd::from(zbus::OwnedFd::from(fd)));
    (&writer).write_all(b"held").unwrap();
    drop(writer);
    let mut read = String::new();
    arrived.read_to_string(&mut read).unwrap();
    assert_eq!(read, "held");
}

#[tokio::test]
async fn the_last_clone_closes_the_connections_and_ends_the_events() {
    let (fake, Connected { bus, mut events, .. }) = Fake::connected().await;
    let clone = bus.clone();
    drop(bus);
    clone.kill("a.service", Whom::Main, Signal::TERM).await.unwrap();
    let (signals, calls) = (fake.signals(), fake.calls());
    drop(clone);
    assert_eq!(within("the end", events.recv()).await, None);
    within("both connections' end", async { tokio::join!(signals.closed(), calls.closed()) }).await;
}

#[tokio::test]
async fn a_taken_name_of_an_auxiliary_unit_is_the_one_that_is_told() {
    let (fake, Connected { bus, .. }) = Fake::connected().await;
    let taken = "Unit x.slice was already loaded or has a fragment file.";
    fake.on("StartTransientUnit", move |_| Answer::error("org.freedesktop.systemd1.UnitExists", taken));
    for (aux, told) in [("x.slice", "x.slice"), ("y.slice", "a.service")] {
        let aux = [AuxUnit { name: aux.to_owned(), properties: vec![] }];
        let error = bus.start_transient("a.service", &[], &aux, FdSlots::default()).await.unwrap_err();
        assert!(matches!(&error, BusError::UnitExists { unit, .. } if unit == told), "{error:?}");
    }
}

#[tokio::test]
async fn giving_back_a_reference_that_is_gone_is_no_error() {
    let (fake, Connected { bus, .. }) = Fake::connected().await;
    for name in ["org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.systemd1.NotReferenced"] {
        fake.on("UnrefUnit", move |_| Answer::error(name, "gone"));
        bus.unref("a.service").await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_told_of_a_unit_that_is_no_longer_tracked() {
    let (fake, Connected { bus, mut events, .. }) = Fake::connected().await;
    let (gone, kept) = (unit("gone"), unit("kept"));
    bus.track(&gone);
    bus.track(&kept);
    fake.state(gone.as_str(), 1, "active").await;
    fake.state(kept.as_str(), 1, "active").await;
    bus.untrack(&gone);
    fake.state(gone.as_str(), 2, "active").await;
    fake.job_removed(1, gone.as_str(), "done").await;
    fake.state(kept.as_str(), 2, "active").await;
    for _ in 0..2 {
        let event = next(&mut events, "a change").await;
        assert!(matches!(&event, BusEvent::Changed(name, _) if *name == kept), "{event:?}");
    }
}
