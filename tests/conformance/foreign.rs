//! Units that are not ours are refused with a typed error, and nothing is done to them. Natively there are none.

use procunit::bus::{Bus, BusAddress};
use procunit::id::{ProcId, UnitName};
use procunit::launcher::{AdoptError, LaunchError};

use crate::bed::{Bed, end_of, quiet, spawn, systemctl_on};
use crate::live::outside::{properties, systemctl, unit_of};
use crate::live::{BOUND, eventually, within};
use tokio::process::Command;

each_backend![
    a_transient_unit_of_somebody_elses_is_refused,
    a_unit_that_is_not_transient_is_refused,
    a_unit_that_names_another_proc_is_refused,
    a_name_that_another_client_holds_is_told_as_held,
];

/// Neither adopted nor replaced, and as alive as before.
async fn assert_left_alone(bed: &Bed, id: &ProcId, is_the_one: impl Fn(&AdoptError) -> bool) {
    let unit = unit_of(id);
    let before = properties(&unit, "InvocationID,MainPID,ActiveState").await;
    assert_eq!(before["ActiveState"], "active");
    let manager = bed.manager().await;
    let error = within("an adoption", manager.adopt(id)).await.expect_err("not ours");
    assert!(is_the_one(&error) && error.to_string().contains(&unit), "{error:?}");
    let spec = quiet(id.clone(), "/bin/true").build().expect("a spec");
    let error = within("a launch", manager.spawn(spec)).await.expect_err("the name is taken");
    assert!(matches!(&error, LaunchError::NotOurs { unit: named } if *named == unit), "{error:?}");
    let survey = within("a survey", manager.survey()).await.expect("a survey");
    assert!(survey.iter().all(|report| report.id != *id), "it is listed");
    assert_eq!(properties(&unit, "InvocationID,MainPID,ActiveState").await, before);
}

fn is_not_ours(error: &AdoptError, reason: &str) -> bool {
    matches!(error, AdoptError::NotOurs { why, .. } if why.contains(reason))
}

async fn systemd_run(id: &ProcId, environment: &str) {
    let mut command = Command::new("systemd-run");
    command.args(["--user", "--quiet", "--collect", "--unit", &unit_of(id), "--setenv", environment]);
    let output = within("systemd-run", command.args(["sleep", "600"]).output()).await.expect("systemd-run");
    assert!(output.status.success(), "{output:?}");
}

async fn a_transient_unit_of_somebody_elses_is_refused(bed: &Bed) {
    if !bed.is_systemd() {
        return;
    }
    let id = bed.id();
    systemd_run(&id, "NOTHING=OURS").await;
    assert_left_alone(bed, &id, |error| is_not_ours(error, "PROCUNIT_ID")).await;
    systemctl_on(&["stop"], &id).await;
}

async fn a_unit_that_names_another_proc_is_refused(bed: &Bed) {
    if !bed.is_systemd() {
        return;
    }
    let (id, other) = (bed.id(), bed.id());
    systemd_run(&id, &format!("PROCUNIT_ID={other}")).await;
    assert_left_alone(bed, &id, |error| is_not_ours(error, "another unit name")).await;
    systemctl_on(&["stop"], &id).await;
}

async fn a_unit_that_is_not_transient_is_refused(bed: &Bed) {
    if !bed.is_systemd() {
        return;
    }
    let id = bed.id();
    let runtime = std::env::var("XDG_RUNTIME_DIR").expect("a runtime directory");
    let directory = std::path::Path::new(&runtime).join("systemd/user");
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join(UnitName::for_proc(&id).to_string());
    std::fs::write(&file, format!("[Service]\nEnvironment=PROCUNIT_ID={id}\nExecStart=/bin/sleep 600\n"))
        .expect("a unit file");
    let (started, said) = systemctl(&["start", &unit_of(&id)]).await;
    assert!(started, "{said}");
    assert_left_alone(bed, &id, |error| matches!(error, AdoptError::NotTransient { .. })).await;
    systemctl_on(&["stop"], &id).await;
    std::fs::remove_file(file).expect("the unit file goes");
    systemctl(&["daemon-reload"]).await;
}

async fn a_name_that_another_client_holds_is_told_as_held(bed: &Bed) {
    if !bed.is_systemd() {
        return;
    }
    let manager = bed.manager().await;
    let handle = spawn(&manager, bed.sleeper()).await;
    let unit = unit_of(handle.id());
    let address = BusAddress::from_env().expect("a user manager to test with");
    let other = within("connecting", Bus::connect(address)).await.expect("a user manager").bus;
    within("a hold", other.add_ref(&unit)).await.expect("a hold");
    within("a kill", handle.kill()).await.expect("it ends");
    let again = || quiet(handle.id().clone(), "/bin/true").build().expect("a spec");
    let error = within("a launch", manager.spawn(again())).await.expect_err("the name is held");
    assert!(matches!(&error, LaunchError::NameHeld { id } if id == handle.id()), "{error:?}");
    within("no hold", other.unref(&unit)).await.expect("no hold");
    let free = || async { manager.spawn(again()).await.ok() };
    let second = eventually(BOUND, "the name is free", free).await;
    end_of(&second).await;
}
