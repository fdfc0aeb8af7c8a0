//! What was asked of the bench on its command line.

use anyhow::bail;

/// Parts that can be run alone, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Launch,
    Commands,
    Live,
    Delays,
    Stop,
    Native,
    Instructions,
    Pass,
    Tee,
    Journal,
    Follow,
}

impl Part {
    pub(crate) const ALL: [Self; 11] = [
        Self::Launch,
        Self::Commands,
        Self::Live,
        Self::Delays,
        Self::Stop,
        Self::Native,
        Self::Instructions,
        Self::Pass,
        Self::Tee,
        Self::Journal,
        Self::Follow,
    ];

    /// Whether a short run has it: not those with the journal, whose figures are too small for a gross loss to show there.
    const fn is_quick(self) -> bool {
        !matches!(self, Self::Pass | Self::Tee | Self::Journal | Self::Follow)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Commands => "commands",
            Self::Live => "live",
            Self::Delays => "delays",
            Self::Stop => "stop",
            Self::Native => "native",
            Self::Instructions => "instructions",
            Self::Pass => "pass",
            Self::Tee => "tee",
            Self::Journal => "journal",
            Self::Follow => "follow",
        }
    }
}

/// The command line.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// A short form of everything, which fails on a gross loss alone.
    pub(crate) quick: bool,
    /// The table and the chart go into docs/.
    pub(crate) write: bool,
    /// Empty: all of them.
    parts: Vec<Part>,
}

impl Options {
    /// Of the arguments behind the program's name.
    pub(crate) fn of(arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut options = Self::default();
        for argument in arguments {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--write" => options.write = true,
                // cargo's own.
                "--bench" => {}
                name => options.parts.push(part(name)?),
            }
        }
        if options.write && (options.quick || !options.parts.is_empty()) {
            bail!("--write goes with a full run of all parts alone");
        }
        Ok(options)
    }

    pub(crate) fn parts(&self) -> Vec<Part> {
        if !self.parts.is_empty() {
            return self.parts.clone();
        }
        Part::ALL.into_iter().filter(|part| !self.quick || part.is_quick()).collect()
    }
}

fn part(name: &str) -> anyhow::Result<Part> {
    if let Some(part) = Part::ALL.into_iter().find(|part| part.name() == name) {
        return Ok(part);
    }
    let names: Vec<_> = Part::ALL.into_iter().map(Part::name).collect();
    bail!("no such part: {name}; there are --quick, --write and {}", names.join(", "))
}
