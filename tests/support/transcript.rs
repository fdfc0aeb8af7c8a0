//! Console sessions as a document shows them: the commands, what each prints, and what of that may differ from one
//! time and one host to the next. All else is the same or wrong.

use procunit::time::parse_span;

/// A command, and what the document says it prints.
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) shown: String,
}

/// The sessions of a document, in their order: its `console` blocks with a prompt.
pub(crate) fn steps(document: &str) -> Vec<Step> {
    let blocks = document.split("```console\n").skip(1).filter_map(|rest| rest.split("```\n").next());
    blocks.filter(|block| block.starts_with("$ ")).flat_map(session).collect()
}

fn session(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), shown: String::new() });
        } else if let Some(step) = steps.last_mut() {
            step.shown.push_str(line);
            step.shown.push('\n');
        }
    }
    steps
}

/// The ids that the steps give, as their `-n` says.
pub(crate) fn names(steps: &[Step]) -> Vec<String> {
    let mut names: Vec<_> = steps.iter().filter_map(|step| word_after(&step.command, "-n")).collect();
    names.sort();
    names.dedup();
    names
}

fn word_after(command: &str, flag: &str) -> Option<String> {
    let mut words = command.split_whitespace();
    words.find(|word| *word == flag)?;
    words.next().map(str::to_owned)
}

/// What `text` says of the procs `names`, without what may differ. Equal for two outputs of a command that say the same.
pub(crate) fn essence(command: &str, text: &str, names: &[String]) -> Vec<String> {
    match command.split_whitespace().nth(1) {
        Some("doctor") => checks(text),
        Some("ps") => table(text, names),
        _ => text.lines().filter(|line| !is_host_s(line)).map(masked).collect(),
    }
}

/// The names of what doctor looks at, and its verdict; what it finds is the host's.
fn checks(text: &str) -> Vec<String> {
    let name = |line: &str| match line.split_at_checked(6) {
        Some(("ok    " | "warn  " | "FAIL  ", rest)) => {
            rest.split_at_checked(13).map(|(name, _)| name.to_owned())
        }
        _ => (!line.starts_with(' ')).then(|| line.to_owned()),
    };
    text.lines().filter_map(name).collect()
}

/// The user may have other procs; and figures, where the host does not hand in its controllers, are a dash.
fn table(text: &str, names: &[String]) -> Vec<String> {
    let cells = |line: &str| line.split("  ").map(masked).filter(|cell| !cell.is_empty()).collect::<Vec<_>>();
    let mut lines = text.lines().map(cells);
    let header = lines.next().unwrap_or_default();
    let rows = lines.filter(|row| row.first().is_some_and(|name| names.contains(name)));
    let rows = rows.map(|row| {
        let column = |(nth, cell): (usize, String)| match header.get(nth).map(String::as_str) {
            Some("CPU" | "MEM") => "FIGURE".to_owned(),
            Some("PID") if is_number(&cell) => "PID".to_owned(),
            _ => cell,
        };
        row.into_iter().enumerate().map(column).collect::<Vec<_>>().join("  ")
    });
    std::iter::once(header.join("  ")).chain(rows).collect()
}

/// What only some hosts know, or can do.
fn is_host_s(line: &str) -> bool {
    let line = line.trim_start();
    // Of a proc that another process launched, only root can tell before systemd 258 that its log is complete.
    ["memory: ", "peak memory: ", "next: `coredumpctl ", "log: "].iter().any(|fact| line.starts_with(fact))
}

/// The line with a word such as PID for each pid, moment, span, invocation and random end of an id.
fn masked(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let core = word.trim_matches(['(', ')', ',', ';', ':']);
        let before = words.last().map(String::as_str).unwrap_or_default();
        let word = match mask(before, core) {
            Some(mask) => word.replacen(core, mask, 1),
            None => without_random_end(&without_pid(word)),
        };
        // "1min 3s" is one span.
        if before == "SPAN" && word.starts_with("SPAN") {
            words.pop();
        }
        words.push(word);
    }
    words.join(" ").replace(", core dumped", "")
}

fn mask(before: &str, core: &str) -> Option<&'static str> {
    const MONTHS: &str = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    match core {
        _ if is_like(core, "####-##-##") => Some("DATE"),
        _ if is_like(core, "##:##:##") => Some("TIME"),
        _ if before == "TIME" && core.starts_with(|c: char| c.is_ascii_uppercase() || "+-".contains(c)) => {
            Some("ZONE")
        }
        _ if MONTHS.split(' ').any(|month| month == core) => Some("MONTH"),
        _ if before == "MONTH" && is_number(core) => Some("DAY"),
        _ if before == "pid:" && is_number(core) => Some("PID"),
        _ if core.len() == 32 && core.bytes().all(|byte| byte.is_ascii_hexdigit()) => Some("INVOCATION"),
        _ if is_span(core) => Some("SPAN"),
        _ => None,
    }
}

fn is_like(word: &str, pattern: &str) -> bool {
    let fits = |(byte, like): (u8, u8)| if like == b'#' { byte.is_ascii_digit() } else { byte == like };
    word.len() == pattern.len() && word.bytes().zip(pattern.bytes()).all(fits)
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// With a unit: a bare number may be an exit code.
fn is_span(word: &str) -> bool {
    let ends =
        (word.starts_with(|c: char| c.is_ascii_digit()), word.ends_with(|c: char| c.is_ascii_alphabetic()));
    ends == (true, true) && parse_span(word).is_ok()
}

/// `batch[61]:`, as in a log.
fn without_pid(word: &str) -> String {
    match word.split_once('[').and_then(|(name, rest)| Some((name, rest.split_once(']')?))) {
        Some((name, (pid, rest))) if is_number(pid) => format!("{name}[PID]{rest}"),
        _ => word.to_owned(),
    }
}

/// `sh-7s2un`, the id of a shell that was given none.
fn without_random_end(word: &str) -> String {
    const LENGTH: usize = 5;
    let Some((before, rest)) = word.split_once("sh-") else { return word.to_owned() };
    match rest.split_at_checked(LENGTH) {
        Some((end, rest)) if end.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            format!("{before}sh-RANDOM{rest}")
        }
        _ => word.to_owned(),
    }
}
