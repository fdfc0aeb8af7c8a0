//! The `procunit` command.

fn main() {}
