//! A program that writes lines at a steady pace, for those who follow it.

use std::io::{Read as _, Write as _};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// As the bench's first argument: be the program. The others are the number of lines, the milliseconds between two, and
/// those before the first.
pub(crate) const CHATTER: &str = "__chatter";

/// Every line has it, and no line of anybody else's.
pub(crate) const WORD: &str = "procunit-bench-chatter";

/// From the last line on it does nothing more, as the end of a proc is not what is measured.
const STAYS: Duration = Duration::from_secs(120);

/// Waits for the end of standard input, which all of them have in common, and writes.
pub(crate) fn write(lines: u32, every: Duration, after: Duration) -> anyhow::Result<()> {
    std::io::stdin().lock().read_to_end(&mut Vec::new())?;
    let began = Instant::now() + after;
    for line in 0..lines {
        sleep((began + every * line).saturating_duration_since(Instant::now()));
        writeln!(std::io::stdout(), "{WORD}: this is line {line} of a proc that has something to say")?;
    }
    sleep(STAYS);
    Ok(())
}
