//! The table of rooms in `docs/architecture.md`, which is the one place that says which room may use which.

use std::collections::BTreeMap;

/// What the page says.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) rooms: BTreeMap<String, Room>,
    /// Rooms that every room may use.
    pub(crate) leaves: Vec<String>,
    /// Rooms without IO, clock, tokio and zbus.
    pub(crate) pure: Vec<String>,
}

/// One row. A path is given by its segments.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub(crate) may_use: Vec<Vec<String>>,
    pub(crate) may_not_use: Vec<Vec<String>>,
}

impl Table {
    /// Reads the table whose head starts with `| room |`, and the two sentences that name the leaves and the pure
    /// rooms.
    pub(crate) fn parse(page: &str) -> Self {
        let mut table = Self {
            leaves: quoted(sentence(page, "The leaves ")),
            pure: quoted(sentence(page, "The pure rooms are the leaves, ")),
            ..Self::default()
        };
        table.pure.extend(table.leaves.iter().cloned());
        let rows = page.lines().skip_while(|line| !line.starts_with("| room |")).skip(2);
        for row in rows.take_while(|line| line.starts_with('|')) {
            table.row(&row.split('|').map(str::trim).collect::<Vec<_>>());
        }
        table
    }

    fn row(&mut self, cells: &[&str]) {
        let [_, rooms, _, may_use, may_not_use, _] = cells else { panic!("not four cells: {cells:?}") };
        for room in quoted(rooms) {
            let paths = |cell| quoted(cell).iter().map(|path| segments(path)).collect();
            self.rooms.insert(room, Room { may_use: paths(may_use), may_not_use: paths(may_not_use) });
        }
    }

    /// Why `room` may not refer to `path`, both counted from the crate's root.
    pub(crate) fn refusal(&self, room: &str, path: &[String]) -> Option<String> {
        let [target, ..] = path else { return Some(format!("`{room}` refers to the whole crate")) };
        if target == "*" {
            return Some(format!("`{room}` refers to the whole crate"));
        }
        if target == room || self.leaves.contains(target) {
            return None;
        }
        if !self.rooms.contains_key(target) {
            return Some(format!("`{target}` is not a room: name what it is by the room it lies in"));
        }
        let row = self.rooms.get(room)?;
        (!row.allows(path)).then(|| format!("`{room}` may not use `{}`", path.join("::")))
    }
}

impl Room {
    /// The longest rule that fits decides.
    fn allows(&self, path: &[String]) -> bool {
        let longest = |rules: &[Vec<String>]| {
            rules.iter().filter(|rule| path.starts_with(rule)).map(Vec::len).max().unwrap_or(0)
        };
        // `use crate::status::*` would bring in what is kept back.
        let glob = path.strip_suffix(&["*".to_owned()]);
        let brings_in = |stem: &[String]| self.may_not_use.iter().any(|rule| rule.starts_with(stem));
        longest(&self.may_use) > longest(&self.may_not_use) && !glob.is_some_and(brings_in)
    }
}

fn sentence<'a>(page: &'a str, start: &str) -> &'a str {
    let at = page.find(start).unwrap_or_else(|| panic!("docs/architecture.md has no sentence {start:?}..."));
    page[at..].split([':', '.']).next().unwrap_or_default()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(str::to_owned).collect()
}
