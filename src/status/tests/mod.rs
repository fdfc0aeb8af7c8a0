//! The pure core, tested as a whole: what a unit shows (`unit`), what one picture means (`observe`), what each fact
//! does to each status (`machine`), and every life in any order of what is seen of it (`lives`; `restarting`, of
//! those with a restart policy).

mod judge;
mod lives;
mod machine;
mod matrix;
mod observe;
mod restarting;
mod statuses;
mod unit;
