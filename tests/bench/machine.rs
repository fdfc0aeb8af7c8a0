//! What the figures were measured on.

use std::fs;
use std::process::Command;

use procunit::bus::{Bus, BusAddress};

/// Machine, versions and day, in a line.
pub(crate) async fn describe() -> anyhow::Result<String> {
    let systemd = Bus::connect(BusAddress::from_env()?).await?.info.version;
    let cores = std::thread::available_parallelism()?;
    let kernel = first_word("/proc/sys/kernel/osrelease");
    Ok(format!(
        "{}, {cores} cores, load {} at the start, Linux {}, systemd {systemd}, {}, procunit {}, {}:\n",
        cpu(),
        first_word("/proc/loadavg"),
        kernel.split('-').next().unwrap_or(&kernel),
        rustc(),
        env!("CARGO_PKG_VERSION"),
        jiff::Timestamp::now().strftime("%Y-%m-%d"),
    ))
}

/// The first model that the kernel names; not every architecture has one.
fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

fn first_word(file: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// cargo hands its own compiler on; a bench started by hand asks the one on the PATH.
fn rustc() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    version.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "rustc unknown".to_owned())
}
